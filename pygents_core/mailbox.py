"""Mailboxes: where an agent's turns wait. The port, and the one in memory."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from .turn import Turn


class Mailbox(Protocol):
    """Where turns are put and from where they are sent: all that a tool needs of it.

    ``delay`` is in seconds from now, ``not_before`` an aware time; at most one of them. A turn joins the queue when it
    is due; until then others overtake it.
    """

    async def put(self, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None) -> None:
        """Add a turn of the mailbox's own agent, which accepts its tool."""

    async def send(
        self, agent_name: str, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None
    ) -> None:
        """Add a turn to another agent's mailbox. Raises UnregisteredAgentError, ValueError for a tool not accepted."""


class Receiver(Protocol):
    """Something that turns can be sent to."""

    async def put(self, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None) -> None: ...


class InMemoryMailbox:
    """A mailbox of this process and one event loop at a time. ``resolve`` finds the receiver of a sent turn by name.

    It holds nothing but its turns: delayed ones join when somebody looks, not by timers.
    """

    __slots__ = ("_delayed", "_queue", "_readers", "_resolve")

    def __init__(self, *, resolve: Callable[[str], Receiver]) -> None:
        self._resolve = resolve
        # Made when needed: most agents of a big system have nothing to do.
        self._queue: deque[Turn[Any]] | None = None
        self._delayed: list[_Delayed] | None = None
        self._readers: list[asyncio.Future[None]] | None = None

    async def put(self, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None) -> None:
        """Add a turn. Raises ValueError for a time without zone, or for both a delay and a time."""
        self.add(turn, delay=delay, not_before=not_before)

    def add(self, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None) -> None:
        """Do the same as ``put``, outside of an event loop, too."""
        due = due_time(delay, not_before)
        if self._delayed:
            self._join_due()
        if due is None:
            self._joined().append(turn)
        else:
            if self._delayed is None:
                self._delayed = []
            heapq.heappush(self._delayed, _Delayed(due, next(_ORDER), turn))
        if self._readers:
            self._wake_readers()

    async def send(
        self, agent_name: str, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None
    ) -> None:
        """Put a turn into the mailbox of the agent that has the name now."""
        await self._resolve(agent_name).put(turn, delay=delay, not_before=not_before)

    def take(self) -> Turn[Any] | None:
        """Take the next turn out; None if none is due."""
        if self._delayed:
            self._join_due()
        return self._queue.popleft() if self._queue else None

    async def pop(self) -> Turn[Any]:
        """Wait for a turn that is due, or is put, and take it out."""
        while (turn := self.take()) is None:
            await self.change()
        return turn

    async def change(self) -> None:
        """Wait until a turn is put, or is due that was not."""
        loop = asyncio.get_running_loop()
        reader: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(self._seconds_to_next(), _wake, reader) if self._delayed else None
        self._readers = [*(self._readers or ()), reader]
        try:
            await reader
        finally:
            self._readers.remove(reader)
            if timer is not None:
                timer.cancel()

    def __len__(self) -> int:
        return len(self._queue or ()) + len(self._delayed or ())

    def entries(self) -> Iterator[tuple[Turn[Any], datetime | None]]:
        """All turns in their order, and when each is due; None for those that are."""
        self._join_due()
        for turn in tuple(self._queue or ()):
            yield turn, None
        for delayed in sorted(self._delayed or ()):
            yield delayed.turn, delayed.due

    def _joined(self) -> "deque[Turn[Any]]":
        if self._queue is None:
            self._queue = deque()
        return self._queue

    def _join_due(self) -> None:
        while self._delayed and self._delayed[0].due <= datetime.now(UTC):
            self._joined().append(heapq.heappop(self._delayed).turn)

    def _seconds_to_next(self) -> float:
        return max(0.0, (self._delayed[0].due - datetime.now(UTC)).total_seconds()) if self._delayed else 0.0

    def _wake_readers(self) -> None:
        for reader in self._readers or ():
            _wake(reader)


class _Delayed(NamedTuple):
    """A turn that waits for its time. ``order`` is unique, so that turns are never compared."""

    due: datetime
    order: int
    turn: Turn[Any]


_ORDER = itertools.count()


def due_time(delay: float | None, not_before: datetime | None) -> datetime | None:
    """When a turn is due; None: at once. Raises ValueError for a time without zone, or if both are given."""
    if delay is None and not_before is None:
        return None
    if delay is not None and not_before is not None:
        raise ValueError("give delay or not_before, not both")
    if delay is not None:
        return datetime.now(UTC) + timedelta(seconds=delay) if delay > 0 else None
    if not_before is not None and not_before.tzinfo is None:
        raise ValueError(f"not_before needs a time zone: {not_before.isoformat()}")
    return not_before


def _wake(reader: "asyncio.Future[None]") -> None:
    if not reader.done():
        reader.set_result(None)
