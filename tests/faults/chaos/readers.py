"""Readers of streams that are cut again and again, by themselves and by dying servers, and go on where they were."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.faults.chaos.ledger import Ledger, Segment, TurnStream
from tests.follower import Follower, Frame

PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 20.0
BROKEN = (OSError, asyncio.IncompleteReadError, TimeoutError, IndexError)
"""A connection that ended anywhere, also within the head of the answer."""


class _Lean(Follower):
    """Keeps nothing: each frame is seen once."""

    def _keep(self, part: bytes) -> None:
        self.frames += self.parser.feed(part)

    async def next_frames(self) -> list[Frame] | None:
        """The frames of the next chunk; None at the clean end."""
        self.frames = []
        return self.frames if await self.read() else None


@asynccontextmanager
async def _open(port: int, target: str, cursor: int | None) -> AsyncIterator[_Lean]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    follower = _Lean(reader, writer)
    try:
        await follower.open(f"127.0.0.1:{port}", target, None if cursor is None else str(cursor))
        yield follower
    finally:
        follower.cut()


class Reader:
    """Follows one agent.

    ``jumps``: the chance that it goes back to some older number when it connects anew; ``most``: how many events it
    reads at most before it does.
    """

    def __init__(
        self,
        agent: str,
        seed: str,
        port: int,
        ledger: Ledger,
        *,
        jumps: float = 0.1,
        most: Sequence[int] = (3, 30, 300, 3_000),
    ) -> None:
        self._most = most
        self.agent, self._port, self._ledger, self._jumps = agent, port, ledger, jumps
        self._dice = random.Random(f"{seed}:reader:{agent}")
        self.latest = 0

    async def live(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self._connection(self._cursor())
            except BROKEN:
                await asyncio.sleep(PAUSE_SECONDS)

    def has_seen(self, seq: int) -> bool:
        return self.latest >= seq

    def _cursor(self) -> int | None:
        """Where to go on; sometimes from the start, or from anywhere."""
        chance, part = self._dice.random(), self._dice.random()
        if not self.latest or chance < self._jumps / 4:
            return None
        return int(part * self.latest) if chance < self._jumps else self.latest

    async def _connection(self, cursor: int | None) -> None:
        most = self._dice.choice(self._most)
        async with asyncio.timeout(PATIENCE_SECONDS), _open(self._port, f"/agents/{self.agent}/stream", cursor) as one:
            if one.status != 200:
                await asyncio.sleep(PAUSE_SECONDS)
                return
            segment = Segment(self.agent, cursor)
            self._ledger.segments.append(segment)
            while len(segment) < most and (frames := await one.next_frames()) is not None:
                for frame in frames:
                    segment = self._take(segment, frame)

    def _take(self, segment: Segment, frame: Frame) -> Segment:
        if frame.event == "stream.reset":
            segment = Segment(self.agent, None, was_reset=True)
            self._ledger.segments.append(segment)
            self.latest = 0
        elif not frame.event.startswith("stream."):
            seq = int(frame.id)
            segment.add(seq)
            self._ledger.saw(self.agent, seq, frame.data)
            self.latest = max(self.latest, seq)
        return segment


async def read_turn(port: int, agent: str, turn_id: str, ledger: Ledger) -> None:
    """A turn's stream from its first event to its clean end, or not at all."""
    seqs: list[int] = []
    try:
        target = f"/agents/{agent}/turns/{turn_id}/stream"
        async with asyncio.timeout(PATIENCE_SECONDS), _open(port, target, None) as one:
            if one.status != 200:
                return
            while (frames := await one.next_frames()) is not None:
                if any(frame.event == "stream.closing" for frame in frames):
                    return
                seqs += [int(frame.id) for frame in frames if not frame.event.startswith("stream.")]
                for frame in frames:
                    if not frame.event.startswith("stream."):
                        assert json.loads(frame.data)["turn_id"] == turn_id
                        ledger.saw(agent, int(frame.id), frame.data)
    except BROKEN:
        return
    ledger.turn_streams.append(TurnStream(agent, turn_id, seqs))
