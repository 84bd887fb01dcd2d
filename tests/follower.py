"""A reader of server-sent events over a plain socket (WHATWG HTML §9.2): it sees every byte and can be cut anywhere."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Event = dict[str, Any]
LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Frame:
    """One dispatched message, with the last event id as it was then."""

    event: str
    data: str
    id: str


@dataclass(slots=True)
class Parser:
    """Bytes in, frames out; ``id`` is the client's resume point, ``retry`` its pause in milliseconds."""

    id: str = ""
    retry: int | None = None
    comments: int = 0
    _rest: bytes = b""
    _event: str = ""
    _data: list[str] = field(default_factory=list)
    _new_id: str | None = None

    def feed(self, received: bytes) -> list[Frame]:
        block, end, self._rest = (self._rest + received).rpartition(b"\n\n")
        frames = [self._line(line) for line in LINE_END.split((block + end).decode())[:-1]] if end else []
        return [frame for frame in frames if frame is not None]

    def _line(self, line: str) -> Frame | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id":
                self._new_id = value
            case "retry":
                self.retry = int(value)
        return None

    def _dispatch(self) -> Frame | None:
        self.id = self.id if self._new_id is None else self._new_id
        frame = Frame(self._event or "message", "\n".join(self._data), self.id) if self._data else None
        self._event, self._data, self._new_id = "", [], None
        return frame


class Follower:
    """One connection to a stream. ``events`` are those of the log so far, ``frames`` all."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.parser = Parser()
        self.frames: list[Frame] = []
        self.events: list[Event] = []
        self.status = 0
        self.raw = b""
        self._left = 0

    async def open(self, host: str, target: str, cursor: str | None, key: str | None = None) -> None:
        """Ask, and read the head of the answer."""
        resume = f"Last-Event-ID: {cursor}\r\n" if cursor is not None else ""
        allowed = f"Authorization: Bearer {key}\r\n" if key is not None else ""
        self._writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{resume}{allowed}\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1])

    async def read(self) -> bool:
        """Take the next chunk; False once the stream has ended cleanly. Raises ``IncompleteReadError`` for a cut."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        self._keep((await self._reader.readexactly(size + 2))[:-2])
        return size > 0

    async def take(self, most: int) -> int:
        """Take at most so many bytes of the body, wherever they end; how many it were."""
        if not self._left:
            self._left = int(await self._reader.readuntil(b"\r\n"), 16)
        part = await self._reader.read(min(most, self._left))
        self._left -= len(part)
        if not self._left:
            await self._reader.readexactly(2)
        self._keep(part)
        return len(part)

    def _keep(self, part: bytes) -> None:
        self.raw += part
        for frame in self.parser.feed(part):
            self.frames.append(frame)
            if not frame.event.startswith("stream."):
                self.events.append(json.loads(frame.data))

    async def until(self, seq: int, *, timeout: float = 30.0) -> list[Event]:
        """Read until the resume point is at ``seq``, by an event or by where the stream began; all events so far."""
        async with asyncio.timeout(timeout):
            while int(self.parser.id or -1) < seq:
                assert await self.read(), f"the stream ended before event {seq}: {self.frames[-3:]}"
        return self.events

    async def until_type(self, type_: str, *, timeout: float = 30.0) -> Event:
        """Read until an event of that type has come; that event."""
        async with asyncio.timeout(timeout):
            while not (found := [event for event in self.events if event["type"] == type_]):
                assert await self.read(), f"the stream ended before any {type_}: {self.frames[-3:]}"
        return found[0]

    async def to_end(self, *, timeout: float = 30.0) -> list[Event]:
        """Read to the clean end of the stream."""
        async with asyncio.timeout(timeout):
            while await self.read():
                pass
        return self.events

    def cut(self) -> None:
        """Drop the connection without a word."""
        self._writer.transport.abort()


@asynccontextmanager
async def following(url: str, *, cursor: object = None, key: str | None = None) -> AsyncIterator[Follower]:
    """Open the stream at ``url``, with ``cursor`` as its Last-Event-ID."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    follower = Follower(reader, writer)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        await follower.open(parts.netloc, target, None if cursor is None else str(cursor), key)
        yield follower
    finally:
        follower.cut()
