"""Clients that take their time with a request: bounds in seconds, on real sockets, made small for these tests.

Each test waits for the server to close, which it must; how long that takes is not looked at.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import uvicorn

from pygents_app.protocol import BoundedProtocol, Waits
from pygents_app.telemetry import Happening, Refused
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

SOON, NEVER = 0.2, 3600.0
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
LATE = b"HTTP/1.1 408 Request Timeout\r\n"


class Server:
    """Answers once it has read the body, on ``/early`` before that; on ``/stream`` it answers at once and goes on until
    ``ended``, and on ``/idle`` it does not read before that."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.ended, self.left = asyncio.Event(), asyncio.Event()
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/idle":
            await self.ended.wait()
        headers = [(b"transfer-encoding", b"chunked")]
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            await self.ended.wait()
        elif scope["path"] != "/early":
            message: Any = {"more_body": True}
            while message.get("more_body"):
                message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
        if scope["path"] != "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})

    def told_of(self) -> list[str]:
        return [each.limit for each in self.told if isinstance(each, Refused)]


@asynccontextmanager
async def served(waits: Waits, keep_alive: float = NEVER) -> AsyncIterator[Server]:
    server = Server()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        http: Any = partial(BoundedProtocol, waits=waits, emit=server.told.append)
        config = uvicorn.Config(
            server,
            http=http,
            log_config=None,
            lifespan="off",
            loop="asyncio",
            timeout_keep_alive=keep_alive,  # type: ignore[arg-type]
        )
        uvicorns = uvicorn.Server(config)
        serving = asyncio.create_task(uvicorns._serve(sockets=[listener]))
        await eventually(lambda: uvicorns.started)
        try:
            yield server
        finally:
            server.ended.set()
            uvicorns.should_exit = True
            await serving


async def trickle(server: Server, begin: bytes, bit: bytes) -> bytes:
    """Send a beginning, then a bit again and again until the server closes; what it has said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    reading = asyncio.create_task(reader.read())
    try:
        writer.write(begin)
        while not reading.done():
            with suppress(ConnectionError):
                writer.write(bit)
                await writer.drain()
            await asyncio.wait([reading], timeout=0.02)
        return await reading
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def said(server: Server, pieces: Iterable[bytes], until: bytes = b"") -> bytes:
    """Send pieces, one read of the server for each; what it says up to ``until``, or to its closing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        return await asyncio.wait_for(reader.readuntil(until) if until else reader.read(), 10)
    finally:
        writer.close()


async def test_a_head_that_trickles() -> None:
    async with served(Waits(head=SOON, body=NEVER)) as server:
        assert (await trickle(server, GET[:-2], b"x: y\r\n")).startswith(LATE)
        assert server.told_of() == ["slow_head"]


async def test_a_body_that_trickles() -> None:
    async with served(Waits(head=NEVER, body=SOON)) as server:
        got = await trickle(server, POST, b"x")
        assert got.startswith(LATE)
        assert b'"type":"urn:pygents:problem:request-too-slow"' in got
        await asyncio.wait_for(server.left.wait(), 10)
        assert server.told_of() == ["slow_body"]


async def test_a_chunked_body_that_trickles() -> None:
    async with served(Waits(head=NEVER, body=SOON)) as server:
        begin = POST.replace(b"content-length: 1000", b"transfer-encoding: chunked")
        assert (await trickle(server, begin, b"1\r\nx\r\n")).startswith(LATE)


async def test_a_later_request_of_a_connection() -> None:
    async with served(Waits(head=SOON, body=NEVER)) as server:
        got = await trickle(server, GET + GET[:-2], b"x: y\r\n")
        assert got.startswith(b"HTTP/1.1 200 ")


async def test_a_connection_on_which_nothing_is_said_is_closed_without_a_word() -> None:
    """Browsers open some in advance, and would show an answer as that of their next request."""
    async with served(Waits(head=SOON, body=NEVER)) as server:
        assert await said(server, []) == b""
        assert server.told_of() == []


async def test_one_on_which_nothing_more_is_said() -> None:
    async with served(Waits(head=NEVER, body=NEVER), keep_alive=SOON) as server:
        assert (await said(server, [GET])).endswith(b"0\r\n\r\n")


async def test_nor_after_a_body_that_came_when_its_request_was_answered() -> None:
    """A refusal does not wait for it. What comes then ends uvicorn's wait for the next request."""
    async with served(Waits(head=NEVER, body=NEVER), keep_alive=SOON) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(POST.replace(b" / ", b" /early "))
            assert b"done" in await reader.readuntil(b"0\r\n\r\n")
            writer.write(b"x" * 1000)
            assert await asyncio.wait_for(reader.read(), 10) == b""
        finally:
            writer.close()


async def test_empty_lines_do_not_keep_a_connection() -> None:
    """They may stand before a request, and end uvicorn's wait for one."""
    async with served(Waits(head=SOON, body=NEVER)) as server:
        assert (await trickle(server, GET, b"\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_an_answer_that_is_under_way_is_not_written_into() -> None:
    async with served(Waits(head=SOON, body=SOON)) as server:
        get, post = (begin.replace(b" / ", b" /stream ") for begin in (GET, POST))
        for begin, bit in ((get + GET[:-2], b"x: y\r\n"), (post, b"x")):
            got = await trickle(server, begin, bit)
            assert got.endswith(b"\r\n5\r\nbegun\r\n")


async def test_who_has_sent_all_may_wait_for_the_answer() -> None:
    """Longer than the bounds: other connections have come and gone meanwhile."""
    async with served(Waits(head=SOON, body=SOON)) as server:
        waiting = asyncio.create_task(said(server, [GET.replace(b" / ", b" /idle ")], b"0\r\n\r\n"))
        for _ in range(3):
            assert await said(server, []) == b""
        assert not waiting.done()
        server.ended.set()
        assert b"done" in await waiting


async def test_who_is_not_read_is_not_late() -> None:
    """The server reads only so much of a body before somebody wants it."""
    async with served(Waits(head=SOON, body=SOON)) as server:
        length = 10_000_000
        begin = POST.replace(b" / ", b" /idle ").replace(b"1000", b"%d" % length)
        waiting = asyncio.create_task(said(server, [begin, b"x" * length], b"0\r\n\r\n"))
        for _ in range(3):
            assert await said(server, []) == b""
        assert not waiting.done()
        server.ended.set()
        assert b"done" in await waiting
        assert server.told_of() == []


@pytest.mark.parametrize("size", [7, 1000])
async def test_what_comes_in_time_is_answered_in_whatever_pieces(size: int) -> None:
    whole = POST + b"x" * 1000
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    async with served(Waits(head=30, body=30)) as server:
        got = await said(server, pieces * 2, b"0\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 200 ")
        assert server.told_of() == []
