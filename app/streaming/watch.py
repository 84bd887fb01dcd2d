"""One watched agent: how far its log goes, its ring, its readers, and the reads of the store that they share."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ..model import Event, EventType, Head
from ..ports import Reads
from ..telemetry import Emit, Replayed, silent
from .ring import BATCH_BYTES, Batch, Framed, Ring, Rings, batch_of, framed

PAGE_EVENTS = 256
FIRST_PAGE_EVENTS = 16
"""A page cannot be bounded in bytes before it was read, so it starts small and grows while the events are."""


class Reader(Protocol):
    """Somebody who goes on from a cursor."""

    @property
    def behind(self) -> int:
        """How many events it has still to send, as far as was heard; 0 once it has ended."""
        ...

    def wake(self) -> None:
        """There may be something new. Must return at once and never raise."""
        ...

    def tick(self, now: float) -> None:
        """Time has passed. Must return at once and never raise."""
        ...

    def farewell(self, body: bytes) -> None:
        """Send ``body`` as the last bytes and end."""
        ...

    def abort(self) -> None:
        """End at once, whatever is still to be sent."""
        ...


class Watch:
    """Exists as long as somebody holds it; ``latest`` is the highest seq that was heard of, and only a hint.

    Hold a watch before reading the agent's row: what is committed in between is then heard.
    """

    __slots__ = ("_deleted", "_found", "_page_events", "_pages", "_reads", "_rings", "_row", "agent", "emit",
                 "holders", "latest", "readers", "ring")  # fmt: skip

    def __init__(self, *, agent: str, reads: Reads, rings: Rings, emit: Emit = silent) -> None:
        self.agent, self.emit = agent, emit
        self.latest = 0
        self.holders = 0
        self.ring = Ring()
        self.readers: set[Reader] = set()
        self._reads = reads
        self._rings = rings
        self._pages: dict[int, asyncio.Task[Batch | None]] = {}
        self._page_events = FIRST_PAGE_EVENTS
        self._row: asyncio.Task[Head | None] | None = None
        self._found = self._deleted = 0

    @property
    def known(self) -> bool:
        """Whether the agent's row was found, and no deletion was heard of since: ``latest`` is where its log ends."""
        return self._found > self._deleted

    def reaches(self, latest: int) -> None:
        """The log goes up to ``latest`` at least."""
        self.ring.start(latest)
        self.latest = max(self.latest, latest)

    def gone(self) -> None:
        """There is no such agent any more."""
        self._deleted = max(self._found, self.latest)

    async def head(self, seen: int = 0) -> Head | None:
        """The agent's row; None if there is none. All who ask at one time share one read.

        It is as it was after the call, or as good: one who knows of the event ``seen`` gets a row that does, too.
        """
        joined = self._row is not None
        head = await self._read_row()
        if joined and not (head is not None and self.known and seen <= self.latest):
            head = await self._read_row()  # the one that was joined began too early to tell
        return head

    def hear(self, event: Event) -> None:
        """Take note of a committed event. What does not join on to the ring is a mere hint that there is more."""
        if self.ring.head is not None and event.seq == self.ring.head + 1:
            self._rings.accept(self.ring, framed(event))
        self.latest = max(self.latest, event.seq)
        if event.type is EventType.AGENT_DELETED:
            self._deleted = event.seq

    def wake(self) -> None:
        for reader in tuple(self.readers):
            reader.wake()

    def recent(self, cursor: int) -> Batch | None:
        return self._rings.after(self.ring, cursor)

    def page(self, cursor: int) -> "asyncio.Task[Batch | None]":
        """Read what follows ``cursor`` from the store; all who ask for the same at one time share one read.

        The result is None if the store has nothing there.
        """
        page = self._pages.get(cursor)
        if page is None:
            page = self._pages[cursor] = asyncio.get_running_loop().create_task(self._read(cursor))
            page.add_done_callback(lambda page: self._forget(cursor, page))
        return page

    def close(self) -> None:
        """Nobody reads any more: give back what the ring holds, end reads that are under way."""
        self._rings.drop(self.ring)
        for page in self._pages.values():
            page.cancel()
        if self._row is not None:
            self._row.cancel()

    async def _read_row(self) -> Head | None:
        if self._row is None:
            self._row = asyncio.get_running_loop().create_task(self._find())
            self._row.add_done_callback(self._forget_row)
        return await asyncio.shield(self._row)  # who goes away takes nothing from the others

    async def _find(self) -> Head | None:
        listed = await self._reads.get_agent(self.agent)
        if listed is None:
            return None
        self._found = max(self._found, listed.head.latest)
        self.reaches(listed.head.latest)
        return listed.head

    def _forget_row(self, row: "asyncio.Task[Head | None]") -> None:
        self._row = None
        if not row.cancelled():
            row.exception()  # looked at here, because those who asked may have gone

    async def _read(self, cursor: int) -> Batch | None:
        events = await self._reads.read_events(self.agent, cursor, self._page_events)
        self.emit(Replayed(len(events)))
        if not events:
            return None
        self.latest = max(self.latest, events[-1].seq)
        frames = [framed(event) for event in events]
        self._adapt(frames)
        for entry in frames:
            self._rings.accept(self.ring, entry)
        return batch_of(frames)

    def _forget(self, cursor: int, page: "asyncio.Task[Batch | None]") -> None:
        del self._pages[cursor]
        if not page.cancelled():
            page.exception()  # looked at here, because those who asked may have gone

    def _adapt(self, frames: Sequence[Framed]) -> None:
        """Ask next time for as many events of this size as fit into one batch."""
        average = sum(len(entry.frame) for entry in frames) // len(frames)
        self._page_events = max(1, min(PAGE_EVENTS, BATCH_BYTES // average, self._page_events * 4))
