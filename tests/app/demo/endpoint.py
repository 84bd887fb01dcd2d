"""A language model's endpoint of the OpenAI kind, on a real socket: it says what a test tells it to, byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

STREAM = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; ``headers`` by their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Connection:
    """The answering side of one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def head(self, status: int = 200, type_: str = STREAM, **headers: str) -> None:
        fields = {"Content-Type": type_, "Transfer-Encoding": "chunked"} | headers
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        await self.raw(f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode())

    async def send(self, part: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(part), part))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def raw(self, sent: bytes) -> None:
        self._writer.write(sent)
        await self._writer.drain()

    def cut(self) -> None:
        self._writer.transport.abort()

    async def left(self) -> None:
        """Return once the client has gone away."""
        with suppress(ConnectionError):
            while await self._reader.read(1024):
                pass


Answer: TypeAlias = Callable[[Connection], Awaitable[None]]


@dataclass(slots=True)
class Endpoint:
    """``answers`` are given in order, the last one again and again; ``models`` are what it lists."""

    port: int = 0
    answers: list[Answer] = field(default_factory=list)
    models: list[str] = field(default_factory=lambda: ["first-model", "other-model"])
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def chats(self) -> list[Asked]:
        """The requests for a completion."""
        return [asked for asked in self.asked if asked.path == "/v1/chat/completions"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.asked.append(await _request(reader))
                await self._next()(Connection(reader, writer))
        writer.close()

    def _next(self) -> Answer:
        if self.asked[-1].path == "/v1/models":
            return in_json({"object": "list", "data": [{"id": model} for model in self.models]})
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def listening() -> AsyncIterator[Endpoint]:
    endpoint, served = Endpoint(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        try:
            await endpoint.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # at the end of a test; asyncio would log it as an error
        finally:
            writer.transport.abort()
            served.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    endpoint.port = server.sockets[0].getsockname()[1]
    try:
        yield endpoint
    finally:
        server.close()
        for task in list(served):
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> Asked:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, json.loads(body) if body else None)


# --- what it may say -------------------------------------------------------------------------------------------------


def says(text: str | None, **choice: object) -> bytes:
    """A chunk of an answer, as a server-sent event."""
    return event({"id": "c1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None} | choice]})


def event(content: object) -> bytes:
    return b"data: %s\n\n" % json.dumps(content, ensure_ascii=False).encode()


def streamed(*parts: bytes, type_: str = STREAM) -> Answer:
    """The parts, each sent by itself, and a clean end."""

    async def answer(connection: Connection) -> None:
        await connection.head(type_=type_)
        for part in parts:
            await connection.send(part)
        await connection.end()

    return answer


def in_json(content: object, status: int = 200, **headers: str) -> Answer:
    async def answer(connection: Connection) -> None:
        await connection.head(status, "application/json", **headers)
        await connection.send(json.dumps(content).encode())
        await connection.end()

    return answer


def cut_after(*parts: bytes) -> Answer:
    """The parts, and then the connection breaks."""

    async def answer(connection: Connection) -> None:
        await connection.head()
        for part in parts:
            await connection.send(part)
        connection.cut()

    return answer
