"""The head of a request is bounded, wherever the reads cut it; what is within the bound passes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from pygents_app.protocol import MAX_HEAD, BoundedProtocol
from tests.helpers import eventually

pytestmark = pytest.mark.anyio


async def answer(scope: Any, receive: Any, send: Any) -> None:
    body = b"%d" % len(scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(answer, http=BoundedProtocol, log_config=None, lifespan="off", loop="asyncio")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        await eventually(lambda: server.started)
        yield listener.getsockname()[1]
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
        while sent < 64 * MAX_HEAD:
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
    assert sent < 64 * MAX_HEAD, "the server took everything"
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
