"""A log in memory that counts and can hold up its reads, and an ASGI client that can stop reading."""

import asyncio
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

from pygents_app.model import Definition, Event, EventType, Head, ListedAgent, Page, PlacedTurn, Turn, TurnSpec
from pygents_app.model import TurnStatus as Status
from pygents_app.ports import Listener, Notice

VALUE = EventType.TURN_VALUE


class Log:
    """``Reads`` for streams. Commits are made on any thread; listeners hear them there, as they would from a store."""

    def __init__(self) -> None:
        self.events: dict[str, list[Event]] = defaultdict(list)
        self.earliest: dict[str, int] = defaultdict(lambda: 1)
        self.turns: dict[str, Turn] = {}
        self.reads: list[tuple[str, int]] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.looks = 0
        self.look_gate: asyncio.Event | None = None
        self.deaf = False
        self.after_looking: Callable[[], None] = lambda: None
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def commit(self, agent: str, *added: tuple[EventType, str | None, bytes]) -> list[Event]:
        """One commit of events of one agent, given as (type, turn, data)."""
        first = self.latest(agent) + 1
        events = [
            Event(agent, first + offset, type_, turn_id, 1 if turn_id else None, 1_700_000_000_000_000, data)
            for offset, (type_, turn_id, data) in enumerate(added)
        ]
        self.events[agent].extend(events)
        self.tell(Notice(events=events))
        return events

    def fill(self, agent: str, count: int, *, size: int = 0, turn_id: str = "t0") -> None:
        """``count`` values in one commit, each of about ``size`` bytes."""
        self.commit(agent, *[(VALUE, turn_id, b'"%s"' % (b"x" * size))] * count)

    def tell(self, notice: Notice) -> None:
        for listener in () if self.deaf else tuple(self._listeners):
            listener(notice)

    def latest(self, agent: str) -> int:
        return self.events[agent][-1].seq if self.events[agent] else 0

    def prune(self, agent: str, earliest: int) -> None:
        self.earliest[agent] = earliest

    def begin_turn(self, agent: str) -> Turn:
        turn_id = str(uuid.uuid4())
        (event,) = self.commit(agent, (EventType.TURN_QUEUED, turn_id, b"{}"))
        self.turns[turn_id] = Turn(TurnSpec(turn_id, agent, "t"), Status.RUNNING, 0, event.seq, event.seq)
        return self.turns[turn_id]

    def end_turn(self, turn: Turn) -> Turn:
        seq = self.latest(turn.spec.agent) + 1
        ended = Turn(turn.spec, Status.COMPLETED, 0, turn.first_seq, seq)
        self.turns[turn.id] = ended
        self.commit(turn.spec.agent, (EventType.TURN_COMPLETED, turn.id, b"{}"))
        self.tell(Notice(ended=[ended]))
        return ended

    async def get_agent(self, name: str) -> ListedAgent | None:
        """What is there at the call; ``look_gate`` holds back the answer."""
        self.looks += 1
        self._fail()
        found = None
        if name in self.events and not any(one.type is EventType.AGENT_DELETED for one in self.events[name][-1:]):
            head = Head(Definition(name), 0, 0, earliest=self.earliest[name], latest=self.latest(name))
            found = ListedAgent(head, None)
        self.after_looking()
        if self.look_gate is not None:
            await self.look_gate.wait()
        return found

    async def get_turn(self, turn_id: str, agent: str | None = None) -> PlacedTurn | None:
        turn = self.turns.get(turn_id)
        return PlacedTurn(turn) if turn and turn.spec.agent == agent else None

    async def read_events(self, agent: str, after: int, limit: int, up_to: int | None = None) -> list[Event]:
        self.reads.append((agent, after))
        if self.gate is not None:
            await self.gate.wait()
        self._fail()
        start = max(after, self.earliest[agent] - 1)
        return self.events[agent][start : start + limit]

    async def list_agents(self, *, prefix: str = "", after: str | None = None, limit: int = 100) -> Page:
        raise AssertionError("streams list no agents")

    async def list_turns(
        self, agent: str | None = None, *, status: Status | None = None, after: str | None = None, limit: int = 100
    ) -> Page:
        raise AssertionError("streams list no turns")

    async def read_memory(self, agent: str) -> bytes | None:
        raise AssertionError("streams read no memory")

    async def owned_agents(self) -> list[str]:
        raise AssertionError("streams own nothing")

    async def ready_agents(self, limit: int, after: str = "") -> list[str]:
        raise AssertionError("streams claim nothing")

    async def next_due(self) -> tuple[int, list[str]] | None:
        raise AssertionError("streams begin nothing")

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Client:
    """The server's side of one client: collects what is sent; while ``stalled``, sends wait."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ended = False
        self.aborted = False
        self.broken = False
        self.left = False
        self.waiting = 0
        self._writable = asyncio.Event()
        self._writable.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self.broken:
            raise OSError("broken")
        if not self._writable.is_set():
            self.waiting += 1
            try:
                await self._writable.wait()
            finally:
                self.waiting -= 1
        assert not self.ended, "sent after the end"
        self.chunks.append(message["body"])
        self.ended = not message["more_body"]

    def stall(self, stalled: bool) -> None:
        self._writable.clear() if stalled else self._writable.set()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        self.stall(True)
        try:
            yield
        finally:
            self.stall(False)

    @property
    def closed(self) -> bool:
        return self.aborted or self.left

    def write(self, body: bytes) -> bool:
        """Takes nothing: all goes through ``send``."""
        return False

    def cut(self) -> None:
        self.aborted = True
        self._writable.set()

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def seqs(self) -> list[int]:
        return seqs_of(self.body)


def seqs_of(body: bytes) -> list[int]:
    """The ids of the events; not those of bare ``id:`` frames."""
    return [int(seq) for seq in re.findall(rb"^id: (\d+)\nevent: ", body, re.MULTILINE)]


def ids_of(body: bytes) -> list[int]:
    return [int(seq) for seq in re.findall(rb"^id: (\d+)$", body, re.MULTILINE)]


def run(first: int, last: int) -> Sequence[int]:
    return list(range(first, last + 1))
