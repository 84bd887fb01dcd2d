"""The full check of a database file: everything is read, and compared with its checksums and with what else is there.

Changes nothing: the file is opened for reading only, which also leaves its write-ahead log where it is.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import Damaged, StartupError
from ..model import TERMINAL, Event, EventType, Head, TurnStatus
from . import codec
from .fetching import fetch_all
from .inspection import compare, inspect
from .lockfile import LockFile
from .migrations import APPLICATION_ID, check_shape
from .sqlite_access import entry_of, key_of
from .sqlite_rows import events_ever
from .statements import migrations, statements

ACCESS_VERSION, TRACES_VERSION, LIMITS_VERSION = 2, 3, 4
"""Of the schema; a backup from before has no keys, no traces, and no limits of keys."""
MOST_PROBLEMS = 100
"""What is told of one kind of check; the rest is only counted."""


@dataclass(slots=True)
class Report:
    """``problems`` in words; ``counted``: how many rows of each kind were looked at; ``more``: problems left out."""

    problems: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    more: int = 0

    def add(self, problem: str) -> None:
        """Once: what stops one check may stop the next ones, too."""
        if problem in self.problems:
            return
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
        else:
            self.more += 1


def examine(path: Path, *, locked: bool = True) -> Report:
    """Raises ``StartupError`` if there is no such file, or if a server uses it.

    Without ``locked`` nobody is asked whether one does: for a backup.
    """
    if not path.is_file():
        raise StartupError(f"There is no file {path}.")
    if not locked:
        return _Examination(path).run()
    lock = LockFile(path)
    try:
        return _Examination(path).run()
    finally:
        lock.release()


class _Examination:
    def __init__(self, path: Path) -> None:
        self._path, self._report = path, Report()
        self._sql = statements()

    def run(self) -> Report:
        found = self._guarded(lambda: inspect(self._path))
        with closing(sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True)) as self._db:
            self._check_shape()
            self._guarded(self._check_owner)
            self._guarded(self._check_structure)
            self._guarded(lambda: compare(self._path, found and found.mark, events_ever(self._db)))
            self._guarded(self._check_agents)
            self._guarded(self._check_strays)
            self._guarded(self._check_access)
            self._guarded(self._check_traces)
        return self._report

    def _guarded(self, check: Callable[[], Any]) -> Any:
        """What stops one check does not stop the next."""
        try:
            return check()
        except StartupError as error:
            self._report.add(error.detail.partition(" Restore a backup")[0])
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._report.add(f"A part of the file cannot be read: {error}.")
        return None

    def _check_shape(self) -> None:
        """Raises ``StartupError`` for a whole file of another build, which is not damaged but cannot be judged here."""
        with suppress(sqlite3.Error, UnicodeDecodeError):
            if not 0 < self._version() <= max(migrations()):
                return
            try:
                check_shape(self._db, str(self._path))
            except StartupError:
                if self._db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok":
                    raise

    def _check_owner(self) -> None:
        if self._db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StartupError(f"{self._path} is not a database of this service, or its header is damaged.")

    def _check_structure(self) -> None:
        for (line,) in fetch_all(self._db, f"PRAGMA integrity_check({MOST_PROBLEMS})", ()):
            if line != "ok":
                self._report.add(f"SQLite: {line}")

    # --- agent by agent ----------------------------------------------------------------------------------------------

    def _check_agents(self) -> None:
        for number, *row in fetch_all(self._db, self._sql["examine_agents"], ()):
            self._report.counted["agents"] += 1
            try:
                head = codec.head_of(tuple(row))
            except Damaged as damage:
                self._report.add(_brief(damage))
                continue
            if not head.deleted:
                self._guarded(partial(self._check_agent, number, head))

    def _check_agent(self, number: int, head: Head) -> None:
        turns = self._turns(number, head)
        self._check_log(number, head, turns)
        self._check_counters(head, turns)

    def _turns(self, number: int, head: Head) -> dict[str, tuple[str, int, int]]:
        """Status, first and last seq of each turn."""
        turns = {}
        for row in self._rows("examine_turns", number):
            self._report.counted["turns"] += 1
            if codec.is_damaged_turn(row):
                self._report.add(f"Turn {row[0]} of agent {head.name!r} is damaged.")
            turns[row[0]] = (row[14], row[16], row[17])
        return turns

    def _check_log(self, number: int, head: Head, turns: dict[str, tuple[str, int, int]]) -> None:
        where, expected, count = f"The log of agent {head.name!r}", head.earliest, 0
        ends: Counter[str] = Counter()
        for row in self._rows("examine_events", number):
            event, seq = codec.event_of(head.name, row), row[1]
            count += 1
            if event is None:
                self._report.add(f"Event {seq} of agent {head.name!r} is damaged.")
            elif seq != expected and event.type is not EventType.AGENT_RESTORED:
                self._report.add(f"{where} goes from {expected - 1} to {seq}.")
            if event is not None and event.turn_id is not None:
                self._check_event(event, turns, ends)
            expected = seq + 1
        self._report.counted["events"] += count
        if expected != head.latest + 1:
            self._report.add(f"{where} ends with {expected - 1}, and should with {head.latest}.")
        if count != head.length:
            self._report.add(f"{where} has {count} events, and should have {head.length}.")
        for turn_id, (status, _, last) in turns.items():
            if status in codec.ENDS and last >= head.earliest and ends[turn_id] != 1:
                self._report.add(f"Turn {turn_id} of agent {head.name!r} has {ends[turn_id]} terminal events.")

    def _check_event(self, event: Event, turns: dict[str, tuple[str, int, int]], ends: Counter[str]) -> None:
        status, first, last = turns.get(event.turn_id or "", ("", 0, -1))
        ends[event.turn_id or ""] += event.type in TERMINAL
        if not first <= event.seq <= last:
            self._report.add(f"Event {event.seq} of agent {event.agent!r} does not belong to its turn {event.turn_id}.")
        elif (event.type in TERMINAL) != (status in codec.ENDS and event.seq == last):
            self._report.add(f"Event {event.seq} of agent {event.agent!r} is not how its turn {event.turn_id} stands.")

    def _check_counters(self, head: Head, turns: dict[str, tuple[str, int, int]]) -> None:
        found = Counter(status for status, *_ in turns.values())
        expected = {
            TurnStatus.QUEUED: head.queued,
            TurnStatus.SCHEDULED: head.scheduled,
            TurnStatus.RUNNING: int(head.current is not None),
        }
        for status, count in expected.items():
            if found[status.value] != count:
                self._report.add(
                    f"Agent {head.name!r} has {found[status.value]} {status} turns, and should have {count}."
                )
        if head.current is not None and head.current not in turns:
            self._report.add(f"The running turn {head.current} of agent {head.name!r} is missing.")

    # --- the rest ----------------------------------------------------------------------------------------------------

    def _check_strays(self) -> None:
        for table, count in self._rows("examine_strays"):
            if count:
                self._report.add(f"{count} rows of the table {table} belong to no agent.")
        for name, number, caller, key, *row in self._rows("examine_records"):
            self._report.counted["idempotency keys"] += 1
            self._checked(partial(codec.record_of, tuple(row), name, number, caller, key))
        for name, *row in self._rows("examine_memories"):
            self._report.counted["memories"] += 1
            self._checked(partial(codec.memory_of, tuple(row), name))

    def _check_access(self) -> None:
        if self._version() < ACCESS_VERSION:
            return
        for row in self._rows("examine_keys" if self._version() >= LIMITS_VERSION else "examine_early_keys"):
            self._report.counted["keys"] += 1
            if key_of(row).damaged:
                self._report.add(_brief(Damaged(f"The key {row[0]!r}")))
        for row in self._rows("examine_audit"):
            self._report.counted["audit entries"] += 1
            self._checked(partial(entry_of, row))

    def _check_traces(self) -> None:
        if self._version() < TRACES_VERSION:
            return
        for *row, has_turn in self._rows("examine_traces"):
            self._report.counted["traces"] += 1
            self._checked(partial(codec.trace_of, tuple(row)))
            if not has_turn:
                self._report.add(f"A trace is of turn {row[0]}, which is missing.")

    def _version(self) -> int:
        version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        return version

    def _checked(self, read: Callable[[], object]) -> None:
        try:
            read()
        except Damaged as damage:
            self._report.add(_brief(damage))

    def _rows(self, statement: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        """Row by row, because there may be very many; what is not UTF-8 any more has question marks."""
        with closing(self._db.cursor()) as cursor:
            self._db.text_factory = lambda text: text.decode(errors="replace")
            yield from cursor.execute(self._sql[statement], arguments)


def _brief(damage: Damaged) -> str:
    return damage.detail.partition(". ")[0] + "."
