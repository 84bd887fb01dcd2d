"""Recent frames of watched agents, encoded once and shared by all readers, within bounds of frames and bytes."""

import json
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import NamedTuple

from ..model import Event, EventType
from . import sse

RING_FRAMES = 256
RING_BYTES = 256 * 1024
PROCESS_BYTES = 64 * 1024 * 1024
"""All rings together: many watched agents with large events must not fill the memory."""

BATCH_BYTES = 64 * 1024
"""What goes into one send. A blocked stream holds at most this beside the server's own buffer."""


class Framed(NamedTuple):
    """An encoded event and what a filter needs to know of it. ``after`` is the seq that it joins on to."""

    seq: int
    type: EventType
    turn_id: str | None
    frame: bytes
    after: int


class Batch(NamedTuple):
    """Frames in order, at least one, and their bytes joined: shared by all who are at the same cursor."""

    frames: tuple[Framed, ...]
    body: bytes

    @property
    def first(self) -> int:
        return self.frames[0].seq

    def joins(self, cursor: int) -> bool:
        """Whether nothing lies between: numbers that a restore has jumped over are nothing."""
        return self.frames[0].after <= cursor < self.first

    @property
    def last(self) -> int:
        return self.frames[-1].seq

    @property
    def ends_log(self) -> bool:
        """Whether its last frame is an agent's last: what follows is of another agent of that name."""
        return self.frames[-1].type is EventType.AGENT_DELETED


def framed(event: Event) -> Framed:
    after = event.seq - 1 if event.type is not EventType.AGENT_RESTORED else int(json.loads(event.data)["after"])
    return Framed(event.seq, event.type, event.turn_id, sse.frame(event), after)


def batch_of(frames: Iterable[Framed], limit: int = BATCH_BYTES) -> Batch:
    """As many leading frames as fit into ``limit`` bytes, but always the first one. ``frames`` must not be empty.

    It goes no further than the end of a deleted agent's log.
    """
    taken: list[Framed] = []
    size = 0
    for entry in frames:
        size += len(entry.frame)
        if taken and size > limit:
            break
        taken.append(entry)
        if entry.type is EventType.AGENT_DELETED:
            break
    return Batch(tuple(taken), taken[0].frame if len(taken) == 1 else b"".join(entry.frame for entry in taken))


class Ring:
    """The last frames up to ``head``, without a gap. It takes nothing but ``head + 1``, so it can never hold one."""

    __slots__ = ("_frames", "_memo", "head", "size")

    def __init__(self) -> None:
        self.head: int | None = None
        self.size = 0
        self._frames: deque[Framed] = deque()
        self._memo: tuple[int, Batch] | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def start(self, head: int) -> None:
        """Fix where the ring begins; once fixed, only ``accept`` moves it."""
        if self.head is None:
            self.head = head

    def accept(self, entry: Framed) -> bool:
        """Take the frame if it is the next one; drop the oldest ones beyond the bounds."""
        if self.head is None or entry.seq != self.head + 1:
            return False
        self.head = entry.seq
        self.size += len(entry.frame)
        self._frames.append(entry)
        self._memo = None
        while len(self._frames) > RING_FRAMES or self.size > RING_BYTES:
            self.size -= len(self._frames.popleft().frame)
        return True

    def after(self, cursor: int) -> Batch | None:
        """The frames that follow ``cursor``; None if there are none or the next one is not here (any more)."""
        if self._memo is not None and self._memo[0] == cursor:
            return self._memo[1]
        if not self._frames or not self._frames[0].seq <= cursor + 1 <= self._frames[-1].seq:
            return None
        # By index, which a deque finds from its nearer end: most readers are at this one.
        batch = batch_of(map(self._frames.__getitem__, range(cursor - self._frames[-1].seq, 0)))
        self._memo = (cursor, batch)
        return batch

    def forget(self) -> None:
        """Drop all frames but stay at ``head``: what comes next is taken again."""
        self._frames.clear()
        self._memo = None
        self.size = 0


class Rings:
    """All rings of the process: bounded together, the one that was read longest ago is emptied first."""

    def __init__(self, limit: int = PROCESS_BYTES) -> None:
        self._limit = limit
        self._by_use: OrderedDict[Ring, None] = OrderedDict()
        self.size = 0

    def accept(self, ring: Ring, entry: Framed) -> bool:
        before = ring.size
        taken = ring.accept(entry)
        if taken:
            self.size += ring.size - before
            self._by_use.setdefault(ring)
            self._shrink()
        return taken

    def after(self, ring: Ring, cursor: int) -> Batch | None:
        batch = ring.after(cursor)
        if batch is not None:
            self._by_use.move_to_end(ring)
        return batch

    def drop(self, ring: Ring) -> None:
        self.size -= ring.size
        self._by_use.pop(ring, None)
        ring.forget()

    def _shrink(self) -> None:
        while self.size > self._limit:
            self.drop(next(iter(self._by_use)))
