"""What comes before a request is whole is bounded, wherever the reads cut it; and nobody's bytes become another's."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from pygents_app.api.heads import MOST_BYTES
from pygents_app.protocol import MAX_PIPELINED, BoundedProtocol
from tests.helpers import eventually

pytestmark = pytest.mark.anyio


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
SHORT = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
STREAM = SHORT.replace(b" / ", b" /stream ")


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """How many headers there are; on ``/stream`` a beginning, and nothing more."""
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await scope["state"]["ended"].wait()
        return
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    body = b"%d" % len(scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answer({**scope, "state": {"ended": ended}}, receive, send)

        config = uvicorn.Config(app, http=BoundedProtocol, log_config=None, lifespan="off", loop="asyncio")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        await eventually(lambda: server.started)
        yield listener.getsockname()[1]
        ended.set()  # uvicorn tells of the client's leaving only to the newest request of a connection
        server.should_exit = True
        await serving


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send the pieces one after the other, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_head_without_end_is_refused(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
    line = b"x-filler: " + b"y" * 1000 + b"\r\n"
    sent = 0
    try:
        while sent < 64 * MOST_BYTES:
            writer.write(line)
            await writer.drain()
            sent += len(line)
    except ConnectionError:
        pass
    got = b""
    try:
        got = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        pass  # the answer may be lost when the server closes on what was not read
    finally:
        writer.close()
    assert sent < 64 * MOST_BYTES, "the server took everything"
    assert not got or got.startswith(b"HTTP/1.1 431 ")


async def test_one_long_header_in_small_pieces(port: int) -> None:
    pieces = [b"GET / HTTP/1.1\r\nhost: x\r\nx: ", *[b"y" * 8192] * 20]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = asyncio.create_task(reader.read())
    for piece in pieces:
        if got.done():
            break
        writer.write(piece)
        await asyncio.sleep(0.005)
    try:
        assert (await asyncio.wait_for(got, 10)).startswith(b"HTTP/1.1 431 ")
    finally:
        writer.close()


async def test_what_is_within_the_bound_passes_in_any_pieces(port: int) -> None:
    head = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: " + b"y" * 20_000 + b"\r\n\r\n"
    for size in (len(head), 4096, 1000):
        got = await exchange(port, *[head[start : start + size] for start in range(0, len(head), size)])
        assert got.startswith(b"HTTP/1.1 200 "), size


async def test_requests_on_one_connection_are_counted_apart(port: int) -> None:
    head = b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 20_000 + b"\r\n\r\n"
    last = head.replace(b"host: x", b"host: x\r\nconnection: close")
    pieces = b"".join([*[head] * 9, last])
    got = await exchange(port, *[pieces[start : start + 3000] for start in range(0, len(pieces), 3000)])
    assert got.count(b"HTTP/1.1 200 ") == 10


@pytest.mark.parametrize("cuts", [1, 2, 3])
async def test_what_a_trailer_says_is_no_header(port: int, cuts: int) -> None:
    """It passes a proxy that has checked, set or removed the headers: it could name a caller, or a Host."""
    whole = CHUNKED + b"connection: close\r\n\r\n2\r\n{}\r\n0\r\nhost: evil\r\nx-api-key: a\r\n\r\n"
    size = -(-len(whole) // cuts)
    got = await exchange(port, *[whole[start : start + size] for start in range(0, len(whole), size)])
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\n3")


@pytest.mark.parametrize("begin", [b"2\r\n{}\r\n0\r\n", b"2\r\n{}\r\n0\r\nx: ", b"2;", b""])
async def test_what_is_neither_head_nor_content_is_bounded_too(port: int, begin: bytes) -> None:
    """Trailers without end, one trailer without end, and what may stand beside the size of a piece."""
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED + b"\r\n" + begin)
    filler = b"x: " + b"y" * 1000 + b"\r\n" if begin.endswith(b"0\r\n") else b"1" * 1000
    sent = 0
    try:
        while sent < 64 * MOST_BYTES:
            writer.write(filler)
            await writer.drain()
            sent += len(filler)
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert sent < 64 * MOST_BYTES, "the server took everything"


async def test_a_body_in_the_smallest_pieces_is_within_the_bound(port: int) -> None:
    """Beside its content there is five times as much, and more than a head may have."""
    piece = b"1\r\nx\r\n" * 1000
    whole = CHUNKED + b"connection: close\r\n\r\n" + piece * 30 + b"0\r\n\r\n"
    got = await exchange(port, *[whole[start : start + 5000] for start in range(0, len(whole), 5000)])
    assert got.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "next_",
    [b"\0", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * 300_000, SHORT * (MAX_PIPELINED + 2)],
)
async def test_nothing_is_written_into_an_answer_that_is_under_way(port: int, next_: bytes) -> None:
    """A reader of the stream would take it for the stream's."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(STREAM)
        got = await asyncio.wait_for(reader.readuntil(b"begun\r\n"), 10)
        writer.write(next_)
        with suppress(ConnectionError):
            got += await asyncio.wait_for(reader.read(), 10)
        assert got.endswith(b"\r\n5\r\nbegun\r\n")
    finally:
        writer.close()


async def test_what_cannot_be_read_is_a_problem(port: int) -> None:
    got = await exchange(port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx")
    assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json\r\n" in got
    assert b'"type":"urn:pygents:problem:malformed-request"' in got


async def test_so_many_may_wait_for_the_answers_before_theirs(port: int) -> None:
    last = SHORT.replace(b"host: x", b"host: x\r\nconnection: close")
    got = await exchange(port, SHORT * MAX_PIPELINED + last)
    assert got.count(b"HTTP/1.1 200 ") == MAX_PIPELINED + 1


UPGRADE = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"


@pytest.mark.parametrize("last", [b"", b"connection: close\r\n"])
@pytest.mark.parametrize("size", [1, 50, 1000])
async def test_a_wish_to_speak_otherwise_is_not_heard(port: int, size: int, last: bytes) -> None:
    """Some clients ask for HTTP/2 with the first request of each connection, whatever its body."""
    get = SHORT.replace(b"host: x\r\n", b"host: x\r\n" + UPGRADE)
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n%b%b\r\n%b" % (len(SHORT), UPGRADE, last, SHORT)
    chunked = CHUNKED + UPGRADE + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SHORT), SHORT)
    whole = get + get + chunked + post
    if not last:
        whole += SHORT.replace(b"host: x", b"host: x\r\nconnection: close")
    got = await exchange(port, *[whole[start : start + size] for start in range(0, len(whole), size)])
    assert got.count(b"HTTP/1.1 200 ") == (4 if last else 5), "a body was taken for a request"
    assert got.count(b"HTTP/1.1 ") == got.count(b"HTTP/1.1 200 ")


async def test_a_tunnel_is_none(port: int) -> None:
    got = await exchange(port, b"CONNECT localhost:80 HTTP/1.1\r\nhost: x\r\n\r\n" + SHORT)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"\r\n\r\n") == 1
