"""The engine in dictionaries: nothing outlives the process. The reference against which every other store is tested."""

import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from itertools import dropwhile, islice
from typing import BinaryIO

from ..errors import NoBackup
from ..model import Event, Head, KeyRecord, ListedAgent, Page, PlacedTurn, Trace, Turn, TurnRef, TurnStatus
from ..ports import Measures, OldLogs
from .engine import Snapshot, T
from .measuring import measured
from .memory_tables import StoredAgent, Tables


class MemoryRows:
    """The writer's side. A lock is held from begin to the end, so that reads see whole batches."""

    def __init__(self, tables: Tables, lock: threading.Lock) -> None:
        self._tables, self._lock, self.access = tables, lock, tables.access

    def begin(self) -> None:
        self._lock.acquire()

    def commit(self) -> None:
        self._lock.release()

    def rollback(self) -> None:
        """Nothing to undo: a write here cannot fail halfway."""
        if self._lock.locked():
            self._lock.release()

    def head(self, name: str) -> Head | None:
        agent = self._tables.agents.get(name)
        return agent.head if agent is not None else None

    def turn(self, turn_id: str) -> Turn | None:
        return self._tables.turn(turn_id)

    def next_turn(self, head: Head) -> Turn | None:
        return next(iter(self._tables.queued(self._tables.agents[head.name])), None)

    def waiting_turns(self, head: Head) -> tuple[Turn, ...]:
        agent = self._tables.agents[head.name]
        scheduled = sorted(agent.scheduled, key=self._tables.numbers.__getitem__)
        return (*self._tables.queued(agent), *(self._tables.turns[turn_id] for turn_id in scheduled))

    def due_turns(self, agent: str, now: int) -> tuple[Turn, ...]:
        turns = (self._tables.turns[turn_id] for turn_id in self._tables.agents[agent].scheduled)
        due = [(turn.spec.not_before or 0, self._tables.numbers[turn.id], turn) for turn in turns]
        return tuple(turn for not_before, _, turn in sorted(due, key=lambda one: one[:2]) if not_before <= now)

    def prior(self, agent: str, caller: str, key: str) -> tuple[KeyRecord, tuple[PlacedTurn, ...]] | None:
        found = self._tables.agent(agent)
        record = found.records.get((caller, key)) if found is not None else None
        if record is None or not all(turn_id in self._tables.turns for turn_id in record.turn_ids):
            return None
        return record, tuple(self._tables.placed(self._tables.turns[turn_id]) for turn_id in record.turn_ids)

    def oldest_events(self, head: Head, limit: int) -> Sequence[tuple[int, int]]:
        return [(event.seq, event.time) for event in self._tables.agents[head.name].events[:limit]]

    def expired_turns(self, head: Head, ended_before: int, limit: int) -> tuple[str, ...]:
        numbers = self._tables.agents[head.name].numbers
        turns = (self._tables.turns[self._tables.order[number - 1]] for number in numbers)
        wanted = (
            turn.id for turn in turns
            if turn.last_seq < head.earliest and turn.end_time is not None and turn.end_time < ended_before
        )  # fmt: skip
        return tuple(islice(wanted, limit))

    def prune(self, head: Head, turn_ids: Sequence[str]) -> None:
        agent = self._tables.agents[head.name]
        agent.events = list(dropwhile(lambda event: event.seq < head.earliest, agent.events))
        for turn_id in turn_ids:
            self._tables.forget(agent, turn_id)
        if turn_ids:
            first_of = {key: record.turn_ids[0] for key, record in agent.records.items()}
            agent.records = {key: agent.records[key] for key, first in first_of.items() if first in self._tables.turns}

    def put_head(self, head: Head) -> None:
        agent = self._tables.agents.get(head.name)
        if agent is not None and head.deleted and not agent.head.deleted:
            self._tables.deleted.append(agent)
        if agent is None:
            insort(self._tables.names, head.name)
        if agent is None or (agent.head.deleted and not head.deleted):
            self._tables.agents[head.name] = StoredAgent(head, floor=len(self._tables.order))
        else:
            agent.head = head

    def add_turns(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            number = len(self._tables.order) + 1
            self._tables.order.append(turn.id)
            self._tables.numbers[turn.id] = number
            self._tables.agents[turn.spec.agent].numbers.append(number)
        self.change_turns(turns)

    def change_turns(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            agent = self._tables.agents[turn.spec.agent]
            self._tables.turns[turn.id] = turn
            if turn.position is not None:
                agent.mailbox[turn.position] = turn.id
            _note(agent.scheduled, turn.id, turn.status is TurnStatus.SCHEDULED)
            _note(agent.late, turn.id, turn.status is TurnStatus.QUEUED and turn.spec.not_before is not None)

    def add_events(self, events: Sequence[Event]) -> None:
        for event in events:
            self._tables.agents[event.agent].events.append(event)

    def add_record(self, record: KeyRecord, now: int) -> None:
        self._tables.agents[record.agent].records[record.caller, record.key] = record

    def put_memory(self, agent: str, memory: bytes) -> None:
        self._tables.agents[agent].memory = memory


class MemorySnapshot:
    """The readers' side; called with the lock held."""

    def __init__(self, tables: Tables) -> None:
        self._tables, self.access = tables, tables.access

    def get_agent(self, name: str) -> ListedAgent | None:
        agent = self._tables.agent(name)
        return self._listed(agent) if agent is not None else None

    def list_agents(self, prefix: str, after: str | None, limit: int) -> Page:
        names = self._tables.names
        start = bisect_right(names, after) if after is not None else 0
        wanted = (name for name in names[start:] if name.startswith(prefix) and self._tables.agent(name) is not None)
        found = list(islice(wanted, limit + 1))
        items = tuple(self._listed(self._tables.agents[name]) for name in found[:limit])
        return Page(items, found[limit - 1] if len(found) > limit else None)

    def get_turn(self, turn_id: str, agent: str | None) -> PlacedTurn | None:
        turn = self._tables.turn(turn_id)
        if turn is None or agent not in (None, turn.spec.agent):
            return None
        return self._tables.placed(turn)

    def list_turns(self, agent: str | None, status: TurnStatus | None, after: str | None, limit: int) -> Page:
        if after is not None and after not in self._tables.numbers:
            return Page((), None)
        start = self._tables.numbers[after] if after is not None else 0
        found: list[PlacedTurn] = []
        for number in self._numbers(agent, start):
            turn = self._tables.turn(self._tables.order[number - 1])
            if turn is not None and status in (None, turn.status):
                found.append(self._tables.placed(turn))
            if len(found) > limit:
                return Page(tuple(found[:limit]), found[limit - 1].turn.id)
        return Page(tuple(found), None)

    def _numbers(self, agent: str | None, start: int) -> Sequence[int]:
        if agent is None:
            return range(start + 1, len(self._tables.order) + 1)
        known = self._tables.agents.get(agent)
        return known.numbers[bisect_right(known.numbers, start) :] if known is not None else ()

    def list_children(self, turn_id: str) -> list[TurnRef]:
        turns = (self._tables.turn(one) for one in self._tables.order)
        return [turn.ref for turn in turns if turn is not None and turn.spec.parent and turn.spec.parent.id == turn_id]

    def get_trace(self, turn_id: str) -> Trace | None:
        turn = self._tables.turns.get(turn_id)
        return turn.spec.trace if turn is not None else None

    def read_events(self, agent: str, after: int, limit: int, up_to: int | None) -> list[Event]:
        for known in (*(one for one in self._tables.deleted if one.head.name == agent), self._tables.agents.get(agent)):
            if known is not None and (found := _events_of(known, after, limit, up_to)):
                return found
        return []

    def read_memory(self, agent: str) -> bytes | None:
        known = self._tables.agent(agent)
        return known.memory if known is not None else None

    def owned_agents(self) -> list[str]:
        return [name for name in self._tables.names if not self._tables.agents[name].head.idle]

    def ready_agents(self, limit: int, after: str = "") -> list[str]:
        heads = (self._tables.agents[name].head for name in self._tables.names if name > after)
        return [head.name for head in heads if head.ready][:limit]

    def next_due(self) -> tuple[int, list[str]] | None:
        due = [
            (self._tables.turns[turn_id].spec.not_before or 0, name)
            for name, agent in self._tables.agents.items()
            for turn_id in agent.scheduled
        ]
        heads = (agent.head for agent in self._tables.agents.values())
        due += [(head.retry_at, head.name) for head in heads if head.retry_at is not None]
        if not due:
            return None
        first = min(moment for moment, _ in due)
        return first, sorted({name for moment, name in due if moment == first})

    def prunable_agents(self, length: int, limit: int, after: str) -> list[str]:
        agents = (self._tables.agent(name) for name in self._tables.names if name > after)
        heads = (agent.head for agent in agents if agent is not None)
        return [head.name for head in heads if head.length > length or head.earliest > 1][:limit]

    def old_logs(self, before: int, now: int, after: int) -> OldLogs:
        """All at once: a look at each agent's first event is all that it takes."""
        logs = [(name, agent.events) for name, agent in self._tables.agents.items() if not agent.head.deleted]
        return OldLogs([name for name, events in logs if events and events[0].time < before], None)

    def measure(self) -> Measures:
        agents = (agent for agent in self._tables.agents.values() if not agent.head.deleted)
        return measured((agent.head, self._tables.queued(agent)) for agent in agents)

    def _listed(self, agent: StoredAgent) -> ListedAgent:
        return ListedAgent(agent.head, self._tables.oldest_queued_at(agent))


def _note(noted: dict[str, None], turn_id: str, holds: bool) -> None:
    if holds:
        noted[turn_id] = None
    else:
        noted.pop(turn_id, None)


def _events_of(known: StoredAgent, after: int, limit: int, up_to: int | None) -> list[Event]:
    start = bisect_right(known.events, after, key=_seq)
    end = len(known.events) if up_to is None else bisect_right(known.events, up_to, key=_seq)
    return known.events[start : min(start + limit, end)]


def _seq(event: Event) -> int:
    return event.seq


class MemoryEngine:
    """Reads wait for the running batch; that is short, because nothing here waits for a disk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        tables = Tables()
        self.rows = MemoryRows(tables, self._lock)
        self._snapshot = MemorySnapshot(tables)
        self._purge = tables.purge

    def explain(self, error: Exception) -> Exception:
        return error

    def check(self) -> None:
        """Memory can always be written."""

    def purge(self, deleted_before: int, limit: int) -> int:
        with self._lock:
            return self._purge(deleted_before, limit)

    def sizes(self) -> tuple[int, int]:
        return 0, 0

    def backup(self) -> BinaryIO:
        raise NoBackup("What is kept in memory is in no file.")

    async def read(self, query: Callable[[Snapshot], T]) -> T:
        with self._lock:
            return query(self._snapshot)

    def close(self) -> None:
        """Nothing to close: what was stored is gone with the process."""
