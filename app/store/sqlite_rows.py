"""The writing side of the SQLite engine: caches in front, writes gathered behind.

A batch reads each agent at most once and writes each agent's counters once: heads are kept, and written back at the
commit. So are running turns, the only ones that change often. Inserts and updates gather until a SELECT could miss
them, or until the commit; rows of one table then go in together.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from typing import NamedTuple, TypeVar

from .. import failpoints
from ..errors import Damaged
from ..model import Event, Head, KeyRecord, PlacedTurn, Turn, TurnStatus
from . import codec
from .fetching import fetch_all, fetch_one
from .places import counted
from .sqlite_access import SqliteAccess
from .statements import statements

MAX_CACHED = 4_096
"""Heads, and running turns: what is kept in memory of a store with any number of agents."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Known(NamedTuple):
    id: int
    head: Head


class _Pending:
    """Rows that the transaction has still to write."""

    def __init__(self) -> None:
        self.heads: dict[str, _Known] = {}
        self.new_turns: list[codec.Row] = []
        self.changed_turns: dict[str, Turn] = {}
        self.events: list[codec.Row] = []
        self.records: list[codec.Row] = []
        self.traces: list[codec.Row] = []


class SqliteRows:
    """Implements ``engine.Rows`` on the one writing connection. Not thread-safe: it belongs to the committer.

    ``note`` is told after each commit how many events were ever committed. A commit without events counts as one.
    """

    def __init__(self, db: sqlite3.Connection, *, note: Callable[[int], None] = lambda events: None) -> None:
        self._db, self._note, self.access = db, note, SqliteAccess(db)
        self._events = self._noted = events_ever(db)
        self._changes = 0
        self._sql = statements()
        self._heads: OrderedDict[str, _Known] = OrderedDict()
        self._running: OrderedDict[str, Turn] = OrderedDict()
        self._pending = _Pending()

    # --- the transaction ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        if failpoints.ARMED:
            failpoints.hit("before-transaction")
        self._db.execute("BEGIN IMMEDIATE")
        self._changes = self._db.total_changes

    def commit(self) -> None:
        self._flush()
        if self._events == self._noted and self._db.total_changes != self._changes:
            self._events += self._db.execute(self._sql["count_commit"]).rowcount
        if failpoints.ARMED:
            failpoints.hit("before-commit")
        self._db.execute("COMMIT")
        if failpoints.ARMED:
            failpoints.hit("after-commit")
        if self._events != self._noted:
            self._noted = self._events
            self._note(self._events)
        _shrink(self._heads)
        _shrink(self._running)

    def rollback(self) -> None:
        self._heads.clear()
        self._running.clear()
        self._pending = _Pending()
        self._events = self._noted
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:  # the engine has rolled back by itself
            return

    # --- reads -------------------------------------------------------------------------------------------------------

    def head(self, name: str) -> Head | None:
        known = self._known(name)
        return known.head if known is not None else None

    def turn(self, turn_id: str) -> Turn | None:
        if (running := self._running.get(turn_id)) is not None:
            return running
        self._flush_turns()
        row = fetch_one(self._db, self._sql["find_turn"], (turn_id,))
        return codec.turn_of(row) if row is not None else None

    def next_turn(self, head: Head) -> Turn | None:
        self._flush_turns()
        row = fetch_one(self._db, self._sql["find_next_turn"], (self._id(head.name), head.begun))
        return codec.turn_of(row) if row is not None else None

    def waiting_turns(self, head: Head) -> tuple[Turn, ...]:
        self._flush_turns()
        arguments = {"agent": self._id(head.name), "begun": head.begun}
        return tuple(codec.turn_of(row) for row in fetch_all(self._db, self._sql["list_waiting_turns"], arguments))

    def due_turns(self, agent: str, now: int) -> tuple[Turn, ...]:
        self._flush_turns()
        rows = fetch_all(self._db, self._sql["list_due_turns"], (self._id(agent), now))
        return tuple(codec.turn_of(row) for row in rows)

    def prior(self, agent: str, caller: str, key: str) -> tuple[KeyRecord, tuple[PlacedTurn, ...]] | None:
        known = self._known(agent)
        if known is None or known.head.deleted:
            return None
        self._flush_records()
        row = fetch_one(self._db, self._sql["find_record"], (known.id, caller, key))
        if row is None:
            return None
        record = codec.record_of(row, agent, known.id, caller, key)
        placed = self._placed(record.turn_ids)
        return (record, placed) if len(placed) == len(record.turn_ids) else None

    def _placed(self, turn_ids: Sequence[str]) -> tuple[PlacedTurn, ...]:
        """Turns as they are now, the heads written first: the place is counted from what the agent's row says."""
        self._flush_turns()
        self._flush_heads()
        found = (fetch_one(self._db, self._sql["find_turn"], (turn_id,)) for turn_id in turn_ids)
        return tuple(codec.placed_turn(row) for row in counted(self._db, [row for row in found if row is not None]))

    def oldest_events(self, head: Head, limit: int) -> Sequence[tuple[int, int]]:
        self._flush_events()
        return self._db.execute(self._sql["list_oldest_events"], (self._id(head.name), head.earliest, limit)).fetchall()

    def expired_turns(self, head: Head, ended_before: int, limit: int) -> tuple[str, ...]:
        self._flush_turns()
        expired: list[str] = []
        with closing(self._db.execute(self._sql["list_turns_behind"], (self._id(head.name), head.earliest))) as rows:
            for id_, last_seq, end_time, created_at in rows:
                if created_at >= ended_before or len(expired) == limit:
                    break
                if last_seq < head.earliest and end_time is not None and end_time < ended_before:
                    expired.append(id_)
        return tuple(expired)

    def _known(self, name: str) -> _Known | None:
        known = self._heads.get(name)
        if known is not None:
            self._heads.move_to_end(name)
            return known
        row = fetch_one(self._db, self._sql["find_head"], (name,))
        if row is None:
            return None
        self._heads[name] = found = _Known(row[0], codec.head_of(row[1:]))
        return found

    def _id(self, name: str) -> int:
        known = self._heads.get(name) or self._known(name)  # its head has been used just now
        if known is None:
            raise LookupError(f"agent {name!r} has no row")
        return known.id

    # --- writes ------------------------------------------------------------------------------------------------------

    def put_head(self, head: Head) -> None:
        old = self._known(head.name)
        if old is not None and old.head.deleted and not head.deleted:
            self._flush()  # under the old number, what is still to be written of it
            self._db.execute(self._sql["retire_agent"], (old.id,))
            self._db.execute(self._sql["delete_purged_agent"], {"agent": old.id})
            old = None
        if old is None:
            number = self._db.execute(self._sql["insert_agent"], codec.agent_row(head)).lastrowid
            self._heads[head.name] = _Known(number or 0, head)
            return
        if old.head.definition is not head.definition:
            self._db.execute(self._sql["update_definition"], (*codec.definition_row(head), old.id))
        if head.deleted and not old.head.deleted:
            self._db.execute(self._sql["insert_purge"], (old.id, head.deleted_at))
        self._heads[head.name] = self._pending.heads[head.name] = _Known(old.id, head)

    def add_turns(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._pending.new_turns.append(codec.new_turn_row(turn, self._id(turn.spec.agent)))
            if turn.spec.trace is not None:
                self._pending.traces.append(codec.trace_row(turn.id, turn.spec.trace))
            self._keep(turn)

    def change_turns(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._pending.changed_turns[turn.id] = turn
            self._keep(turn)

    def add_events(self, events: Sequence[Event]) -> None:
        if events:
            agent = self._id(events[0].agent)
            self._pending.events += [codec.event_row(event, agent) for event in events]

    def add_record(self, record: KeyRecord, now: int) -> None:
        self._pending.records.append(codec.record_row(record, self._id(record.agent), now))

    def put_memory(self, agent: str, memory: bytes) -> None:
        self._db.execute(self._sql["put_memory"], codec.memory_row(memory, self._id(agent)))

    def prune(self, head: Head, turn_ids: Sequence[str]) -> None:
        self._flush()
        self._db.execute(self._sql["prune_events"], (self._id(head.name), head.earliest))
        for statement in ("prune_turn", "prune_record"):
            self._db.executemany(self._sql[statement], [(turn_id,) for turn_id in turn_ids])

    def _keep(self, turn: Turn) -> None:
        if turn.status is TurnStatus.RUNNING:
            self._running[turn.id] = turn
            self._running.move_to_end(turn.id)
        else:
            self._running.pop(turn.id, None)

    # --- writing back ------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flush_turns()
        self._flush_records()
        self._flush_events()
        self._flush_heads()

    def _flush_turns(self) -> None:
        pending = self._pending
        if pending.new_turns:
            self._write("insert_turn", pending.new_turns)
        if pending.traces:
            self._write("insert_trace", pending.traces)
        if pending.changed_turns:
            changed = pending.changed_turns.values()
            delayed = [(turn.position, turn.id) for turn in changed if turn.spec.not_before is not None]
            self._change("place_turn", delayed)
            self._change("update_turn", [codec.changed_turn_row(turn) for turn in changed])
            pending.changed_turns.clear()

    def _flush_records(self) -> None:
        if self._pending.records:
            self._write("insert_record", self._pending.records)

    def _flush_events(self) -> None:
        if self._pending.events:
            self._events += len(self._pending.events)
            self._write("insert_event", self._pending.events)

    def _flush_heads(self) -> None:
        pending = self._pending.heads
        if pending:
            rows = [(*codec.counters(known.head), known.id) for known in pending.values()]
            self._change("update_head", rows)
            pending.clear()

    def _change(self, statement: str, rows: Sequence[codec.Row]) -> None:
        """Each of them is there, or the index by which it is found is damaged: nothing may be done without a record."""
        if rows and self._db.executemany(self._sql[statement], rows).rowcount != len(rows):
            raise Damaged(f"An index of the {statement.partition('_')[2]}s")

    def _write(self, statement: str, rows: list[codec.Row]) -> None:
        self._db.executemany(self._sql[statement], rows)
        rows.clear()


def events_ever(db: sqlite3.Connection) -> int:
    """How many events were ever committed, those included that are gone, and commits without events."""
    row = db.execute(statements()["count_events_ever"]).fetchone()
    return int(row[0]) if row is not None else 0


def _shrink(cache: OrderedDict[K, V]) -> None:
    """Forget what was used least recently; only between transactions, when nothing is unwritten."""
    while len(cache) > MAX_CACHED:
        cache.popitem(last=False)
