"""A load client that costs little: keep-alive connections with requests made beforehand, and streams that only count.

It understands what uvicorn sends and no more: lower-case header names, a Content-Length on every answer but a stream's.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "
NO_HEADERS: Mapping[str, str] = {}


class Answer(NamedTuple):
    status: int
    body: bytes


def request(method: str, target: str, body: object = None, headers: Mapping[str, str] = NO_HEADERS) -> bytes:
    """One request as bytes; ``body`` is sent as JSON."""
    content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Connection(asyncio.Protocol):
    """One request at a time; ``on_answer`` hears of each answer. Losing the connection is an answer of status 0."""

    def __init__(self, on_answer: Callable[["Connection", Answer], None]) -> None:
        self._on_answer = on_answer
        self._buffer = b""
        self.sent_at = 0.0

    def send(self, asked: bytes) -> None:
        self.sent_at = time.perf_counter()
        self._transport.write(asked)

    def close(self) -> None:
        self._on_answer = lambda connection, answer: None
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(HEAD_END)
        if head < 0:
            return
        start = self._buffer.find(LENGTH, 0, head) + len(LENGTH)
        end = head + len(HEAD_END) + int(self._buffer[start : self._buffer.find(b"\r", start)])
        if len(self._buffer) >= end:
            answer = Answer(int(self._buffer[9:12]), self._buffer[head + len(HEAD_END) : end])
            self._buffer = self._buffer[end:]
            self._on_answer(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_answer(self, Answer(0, str(exc).encode()))


async def connect(port: int, on_answer: Callable[[Connection, Answer], None]) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(on_answer), "127.0.0.1", port)
    return connection


async def ask(port: int, method: str, target: str, body: object = None, headers: Mapping[str, str] = NO_HEADERS) -> Any:
    """One request on a connection of its own; the answer's JSON. Raises RuntimeError for 4xx and 5xx."""
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    connection = await connect(port, lambda _, answer: answered.set_result(answer))
    connection.send(request(method, target, body, headers))
    try:
        return _json(await answered)
    finally:
        connection.close()


def _json(answer: Answer) -> Any:
    if not 200 <= answer.status < 300:
        raise RuntimeError(f"status {answer.status}: {answer.body[:500].decode(errors='replace')}")
    return json.loads(answer.body or b"null")


async def hammer(
    port: int, requests: Sequence[bytes], seconds: float, connected: Callable[[], None] = lambda: None
) -> list[float]:
    """Send each request again and again on a connection of its own; the seconds that each answer took.

    ``connected`` is called when all connections are open, and only then the time begins. Raises RuntimeError for any
    answer but 202.
    """
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    times: list[float] = []
    deadline = 0.0
    busy = len(requests)

    def answered(connection: Connection, answer: Answer) -> None:
        nonlocal busy
        now = time.perf_counter()
        if answer.status != 202 and not ended.done():
            ended.set_exception(RuntimeError(f"status {answer.status}: {answer.body[:500]!r}"))
        times.append(now - connection.sent_at)
        if now < deadline:
            connection.send(of[connection])
            return
        busy -= 1
        if not busy and not ended.done():
            ended.set_result(None)

    of = {await connect(port, answered): each for each in requests}
    connected()
    deadline = time.perf_counter() + seconds
    for connection, each in of.items():
        connection.send(each)
    try:
        await ended
    finally:
        for connection in of:
            connection.close()
    return times


async def send_all(port: int, requests: Iterable[bytes], connections: int) -> None:
    """Send each request once, over so many connections. Raises RuntimeError for 4xx and 5xx."""
    waiting = iter(requests)

    async def send_some() -> None:
        answers: asyncio.Queue[Answer] = asyncio.Queue()
        connection = await connect(port, lambda _, answer: answers.put_nowait(answer))
        try:
            for each in waiting:
                connection.send(each)
                _json(await answers.get())
        finally:
            connection.close()

    await asyncio.gather(*(send_some() for _ in range(connections)))


class Stream(asyncio.Protocol):
    """Counts ``marker`` in a stream of events and reports each piece's count. It must not span two events.

    ``on_data`` is shown each piece before; it tells how many bytes of the piece's end it wants to see again.
    """

    __slots__ = ("_marker", "_on_count", "_on_data", "_request", "_seen", "_tail", "_transport", "opened")

    def __init__(
        self, target: str, marker: bytes, on_count: Callable[[int], None], on_data: Callable[[bytes], int] | None
    ) -> None:
        self._request, self._marker = request("GET", target), marker
        self._on_count, self._on_data = on_count, on_data
        self._tail = self._seen = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            if data.startswith(b"HTTP/1.1 200"):
                self.opened.set_result(None)
            else:
                self.opened.set_exception(RuntimeError(data[:500].decode(errors="replace")))
        if self._on_data is not None:
            shown = self._seen + data
            self._seen = shown[-self._on_data(shown) :]
        text = self._tail + data
        self._tail = text[1 - len(self._marker) :]
        if found := text.count(self._marker):
            self._on_count(found)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(RuntimeError(f"the connection ended before the stream was open: {exc}"))


async def arrival(port: int, target: str, marker: bytes, number: int) -> float:
    """Seconds from opening a stream until ``marker`` has come so many times."""
    done = asyncio.Event()

    def count(found: int) -> None:
        nonlocal number
        number -= found
        if number <= 0:
            done.set()

    began = time.perf_counter()
    stream = await open_stream(port, target, marker, count)
    try:
        await done.wait()
        return time.perf_counter() - began
    finally:
        stream.close()


async def open_stream(
    port: int,
    target: str,
    marker: bytes,
    on_count: Callable[[int], None],
    on_data: Callable[[bytes], int] | None = None,
) -> Stream:
    """Open a stream and wait for its head."""
    loop = asyncio.get_running_loop()
    make = lambda: Stream(target, marker, on_count, on_data)  # noqa: E731
    _, stream = await loop.create_connection(make, "127.0.0.1", port)
    await stream.opened
    return stream
