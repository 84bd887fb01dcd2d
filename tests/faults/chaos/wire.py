"""An HTTP client that costs a fraction of a complete one, so that the server is what is busy. It knows only what ours
answers: lower-case header names, and a Content-Length wherever there is a body."""

import asyncio
import json
from collections import deque
from typing import Any, NamedTuple

BROKEN = (OSError, EOFError, TimeoutError, ValueError)
NO_BODY = frozenset({204, 304})
ANSWER_SECONDS = 30.0


class NoAnswer(Exception):
    """The connection could not be made, or ended before the answer did."""


class Answer(NamedTuple):
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """Connections to a port of this machine, kept open and used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def request(self, method: str, path: str, body: object = None, *, key: str | None = None) -> Answer:
        """Raises ``NoAnswer``. ``body`` is sent as JSON, ``key`` as the Idempotency-Key."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = self._idle.pop() if self._idle else await self._connect()
                try:
                    writer.write(_request(method, path, body, key))
                    answer = await _answer(reader)
                except BaseException:
                    writer.transport.abort()
                    raise
        except BROKEN as error:
            self.close()  # the others are of the same dead process
            raise NoAnswer(repr(error)) from error
        self._idle.append((reader, writer))
        return answer

    def close(self) -> None:
        while self._idle:
            _, writer = self._idle.pop()  # kept: a writer that is dropped before its transport is closed complains
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)


def _request(method: str, path: str, body: object, key: str | None) -> bytes:
    content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n"
    if body is not None:
        head += "Content-Type: application/json\r\n"
    if key is not None:
        head += f"Idempotency-Key: {key}\r\n"
    return f"{head}\r\n".encode() + content


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    start = head.find(b"\r\ncontent-length: ")
    if start < 0 or status in NO_BODY:
        return Answer(status, b"")
    length = int(head[start + 18 : head.index(b"\r\n", start + 18)])
    return Answer(status, await reader.readexactly(length))
