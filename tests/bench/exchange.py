"""A connection for answers of any shape: of a known length, or in chunks as streams are."""

import asyncio
from collections.abc import Mapping
from typing import Any

from .client import HEAD_END, LENGTH

CHUNKED = b"transfer-encoding: chunked"
LAST_CHUNK = b"\r\n0\r\n\r\n"


def message(method: str, target: str, content: str = "", headers: Mapping[str, str] | None = None) -> bytes:
    """One request as bytes; ``content`` is JSON unless the headers say otherwise."""
    lines = {"Host": "127.0.0.1", "Content-Type": "application/json", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    body = content.encode()
    return f"{method} {target} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Exchange(asyncio.Protocol):
    """One request at a time on a connection that is kept; what it understands is what uvicorn sends."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: asyncio.Future[bytes] | None = None

    @classmethod
    async def open(cls, port: int) -> "Exchange":
        _, exchange = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return exchange

    async def ask(self, asked: bytes) -> bytes:
        """The whole body, with its framing if it came in chunks. Raises RuntimeError for a status that is not 2xx."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(asked)
        return await self._answered

    def close(self) -> None:
        self._answered = None
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(HEAD_END)
        if end < 0 or not self._is_whole(end):
            return
        head, body, self._buffer = self._buffer[:end], self._buffer[end + len(HEAD_END) :], b""
        if self._answered is None or self._answered.done():
            return
        if head.startswith(b"HTTP/1.1 2"):
            self._answered.set_result(body)
        else:
            self._answered.set_exception(RuntimeError((head + body)[:500].decode(errors="replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(RuntimeError(f"the connection was lost: {exc}"))

    def _is_whole(self, end: int) -> bool:
        if (start := self._buffer.find(LENGTH, 0, end)) >= 0:
            length = self._buffer[start + len(LENGTH) : self._buffer.find(b"\r", start)]
            return len(self._buffer) >= end + len(HEAD_END) + int(length)
        # The head ends in a line break, too: a stream without a single chunk is whole.
        return CHUNKED in self._buffer[:end] and self._buffer.endswith(LAST_CHUNK)
