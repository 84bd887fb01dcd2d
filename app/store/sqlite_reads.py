"""The reading side of the SQLite engine: queries on one read-only connection, each its own short read transaction."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ..errors import Damaged
from ..model import Event, EventType, ListedAgent, Page, PlacedTurn, Trace, TurnRef, TurnStatus
from ..ports import Measures, OldLogs
from . import codec
from .fetching import fetch_all
from .places import counted, has_uncounted
from .sqlite_access import SqliteAccess
from .statements import statements

LAST = 2**63 - 1
"""SQLite's largest integer: an open end of a range."""
LAST_CHARACTER = "\U0010ffff"
LOOKED_AT = 1_000
"""Events in one look for old ones."""

_LISTS: Mapping[TurnStatus | None, str] = {
    TurnStatus.SCHEDULED: "list_scheduled_turns",
    TurnStatus.QUEUED: "list_queued_turns",
    TurnStatus.RUNNING: "list_running_turns",
}
"""Statements for the statuses that few turns of a long history have. The others are found by walking it."""
_AGENT_LISTS: Mapping[TurnStatus | None, str] = {**_LISTS, TurnStatus.QUEUED: "list_agent_queued_turns"}


class SqliteSnapshot:
    """Implements ``engine.Snapshot``. Every query is fetched whole, so that no read transaction stays open.

    What takes more than one statement is read in one transaction: retention may remove rows between the two.
    """

    def __init__(self, db: sqlite3.Connection, *, tell: Callable[[Damaged], None] = lambda damage: None) -> None:
        """``tell`` hears of damage that is passed over."""
        self._db, self._tell, self.access = db, tell, SqliteAccess(db, tell=tell)
        self._sql = statements()

    def get_agent(self, name: str) -> ListedAgent | None:
        row = self._one("find_agent", (name,))
        return codec.listed_agent(row) if row is not None else None

    def list_agents(self, prefix: str, after: str | None, limit: int) -> Page:
        """Damaged ones are passed over: the others are not to be out of reach for their sake."""
        end, count = prefix + LAST_CHARACTER, limit + 1
        arguments = {"after": after or "", "prefix": prefix, "prefix_end": end}
        while True:
            rows = self._all("list_agents", {**arguments, "limit": count})
            items = tuple(listed for row in rows if (listed := self._listed(row)) is not None)
            if len(items) > limit or len(rows) < count:
                return Page(items[:limit], items[limit - 1].head.name if len(items) > limit else None)
            count *= 2  # of a damaged row nobody can say where a next page would go on

    def _listed(self, row: codec.Row) -> ListedAgent | None:
        try:
            return codec.listed_agent(row)
        except Damaged as damage:
            self._tell(damage)
            return None

    def get_turn(self, turn_id: str, agent: str | None) -> PlacedTurn | None:
        rows = self._all("find_turn", (turn_id,))
        if has_uncounted(rows):
            with self._at_one_moment():
                rows = counted(self._db, self._all("find_turn", (turn_id,)))
        placed = codec.placed_turn(rows[0]) if rows else None
        return placed if placed is not None and agent in (None, placed.turn.spec.agent) else None

    def list_turns(self, agent: str | None, status: TurnStatus | None, after: str | None, limit: int) -> Page:
        lists, all_of = (_LISTS, "list_turns") if agent is None else (_AGENT_LISTS, "list_agent_turns")
        statement = lists.get(status, all_of)
        with self._at_one_moment():
            first, last = self._range(agent)
            arguments = {
                "agent": first, "first_agent": first, "last_agent": last, "status": status and status.value,
                "after": after, "limit": limit + 1,
            }  # fmt: skip
            rows = counted(self._db, self._all(statement, arguments))
        items = tuple(codec.placed_turn(row) for row in rows)
        return Page(items[:limit], items[limit - 1].turn.id if len(items) > limit else None)

    def _range(self, agent: str | None) -> tuple[int, int]:
        """The ids of the agents that are asked for: all, one, or for an unknown name none."""
        if agent is None:
            return 0, LAST
        row = self._one("find_agent_id", (agent,))
        return (row[0], row[0]) if row is not None else (0, 0)

    def list_children(self, turn_id: str) -> list[TurnRef]:
        return [TurnRef(agent, child) for agent, child in self._all("list_children", (turn_id,))]

    def get_trace(self, turn_id: str) -> Trace | None:
        row = self._one("find_trace", (turn_id,))
        return codec.trace_of(row) if row is not None else None

    def read_events(self, agent: str, after: int, limit: int, up_to: int | None) -> list[Event]:
        """Of a deleted agent, too, until it is purged: streams that are behind come to the end of its log.

        What is intact comes first; raises ``Damaged`` only if nothing is.
        """
        earliest, rows = self._event_rows(agent, after, limit, LAST if up_to is None else up_to)
        return _intact(agent, rows, after, earliest)

    def _event_rows(self, agent: str, after: int, limit: int, last: int) -> tuple[int, list[codec.Row]]:
        """Where the log that they are of begins, and the rows."""
        with self._at_one_moment():
            for number, earliest in self._all("find_logs", {"name": agent, "after": after}):
                if rows := self._all("list_events", (number, after, last, limit)):
                    return earliest, rows
        return 0, []

    def read_memory(self, agent: str) -> bytes | None:
        row = self._one("find_memory", (agent,))
        return codec.memory_of(row, agent) if row is not None else None

    def owned_agents(self) -> list[str]:
        return [name for (name,) in self._all("list_owned_agents", ())]

    def ready_agents(self, limit: int, after: str = "") -> list[str]:
        return [name for (name,) in self._all("list_ready_agents", (after, limit))]

    def next_due(self) -> tuple[int, list[str]] | None:
        rows = self._all("find_due", ())
        return (rows[0][0], [name for _, name in rows]) if rows else None

    def prunable_agents(self, length: int, limit: int, after: str) -> list[str]:
        return [name for (name,) in self._all("list_prunable_agents", (after, length, limit))]

    def measure(self) -> Measures:
        return Measures(*self._all("measure", ())[0])

    def old_logs(self, before: int, now: int, after: int) -> OldLogs:
        """A time yet to come, from when the clock was wrong, says nothing about what follows."""
        agents: dict[str, None] = {}
        rows = self._all("list_oldest_logs", (after, LOOKED_AT))
        for _, time, name in rows:
            if before <= time <= now:
                return OldLogs(list(agents), None)
            if name is not None and time < before:
                agents[name] = None
        return OldLogs(list(agents), rows[-1][0] if len(rows) == LOOKED_AT else None)

    @contextmanager
    def _at_one_moment(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:  # some errors end it
                self._db.execute("ROLLBACK")

    def _one(self, statement: str, arguments: tuple[object, ...]) -> codec.Row | None:
        rows = self._all(statement, arguments)
        return rows[0] if rows else None

    def _all(self, statement: str, arguments: tuple[object, ...] | Mapping[str, object]) -> list[codec.Row]:
        return fetch_all(self._db, self._sql[statement], arguments)


def _intact(agent: str, rows: list[codec.Row], after: int, earliest: int) -> list[Event]:
    """The events before the first one that is damaged or missing; raises ``Damaged`` if that is the first of all."""
    events: list[Event] = []
    for row in rows:
        event = codec.event_of(agent, row)
        if event is None or not _joins(event, events, after, earliest):
            if events:
                break
            what = "Event" if event is None else "What came before event"
            raise Damaged(f"{what} {row[1]} of agent {agent!r}", agent=agent, seq=row[1])
        events.append(event)
    return events


def _joins(event: Event, before: list[Event], after: int, earliest: int) -> bool:
    """Whether no event is missing before this one: only what was pruned or jumped over by a restore may be."""
    if event.seq == (before[-1].seq if before else after) + 1 or event.type is EventType.AGENT_RESTORED:
        return True
    return not before and event.seq <= earliest
