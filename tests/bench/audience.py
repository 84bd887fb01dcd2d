"""Many streams of one server: opened at once, counted together, and how old the values are when they arrive."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from .client import Stream, connect, open_stream
from .harness import Server

FRAME = b"event: turn."
"""What every frame of a turn's events has once."""
AT = re.compile(rb'"at":(\d{16})\}\}\}')
"""When a value was made, in microseconds since the epoch: at the end of its event, and nowhere else in a stream."""
AT_LENGTH = len(b'"at":1234567890123456}}}')
TARGET = "/agents/a0/stream?after=latest"
IN_FLIGHT = 500
WARM = 5
"""Streams that are opened before anything is looked at: the first ones cause imports."""
TIMEOUT = 120.0


class Opened(NamedTuple):
    """What it took to open the streams: seconds for all, server CPU in seconds for each, and memory in bytes."""

    seconds: float
    cpu: float
    memory: float


class Heard(NamedTuple):
    """Seconds until everybody had everything, the server's CPU meanwhile, and the ages of the values in seconds."""

    seconds: float
    cpu: float
    ages: list[float]


class Audience:
    """``number`` streams of one server; ``heard`` waits for frames to have reached all of them."""

    def __init__(self, server: Server, number: int) -> None:
        self.server, self.number = server, number
        self._streams: list[Stream] = []
        self._missing = 0
        self._heard: asyncio.Future[None] | None = None
        self._ages: list[float] = []
        self._dated = False

    async def gather(self) -> Opened:
        """Open the streams, ``IN_FLIGHT`` at once; one is open when the first bytes of its answer are here."""
        warm = min(WARM, self.number - 1)
        await self._open(warm)
        number, memory, cpu, start = self.number - warm, self.server.rss(), self.server.cpu(), time.perf_counter()
        await self._open(number)
        seconds = time.perf_counter() - start
        return Opened(seconds, (self.server.cpu() - cpu) / number, (self.server.rss() - memory) / number)

    async def heard(self, frames: int, asked: bytes, *, dated: bool) -> Heard:
        """Send ``asked``, then wait until each stream has had ``frames`` more; ``dated``: look at the values' ages."""
        self._missing, self._ages, self._dated = frames * self.number, [], dated
        self._heard = asyncio.get_running_loop().create_future()
        cpu, start = self.server.cpu(), time.perf_counter()
        connection = await connect(self.server.port, lambda *_: None)
        connection.send(asked)
        try:
            await asyncio.wait_for(self._heard, TIMEOUT)
        finally:
            connection.close()
        return Heard(time.perf_counter() - start, self.server.cpu() - cpu, self._ages)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()

    async def _open(self, number: int) -> None:
        numbers = iter(range(number))
        await asyncio.gather(*(self._open_some(numbers) for _ in range(min(IN_FLIGHT, number))))

    async def _open_some(self, numbers: Iterator[int]) -> None:
        for _ in numbers:
            self._streams.append(await open_stream(self.server.port, TARGET, FRAME, self._count, self._date))

    def _date(self, data: bytes) -> int:
        """Note the ages of the values in a piece; how much of its end may be the beginning of another date."""
        if self._dated:
            now = time.time()
            self._ages += [now - int(at) / 1e6 for at in AT.findall(data)]
        return AT_LENGTH - 1

    def _count(self, frames: int) -> None:
        self._missing -= frames
        if not self._missing and self._heard is not None and not self._heard.done():
            self._heard.set_result(None)
