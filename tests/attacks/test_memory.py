"""What is refused costs no memory, and what never ends holds nobody up: on a real process, without a key."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.app.api.test_bodies import REFUSED
from tests.attacks.wire import exchange
from tests.helpers import eventually
from tests.service import Service, allow_many_descriptors, serving

pytestmark = pytest.mark.anyio

TOOLS = Path(__file__).parents[1] / "conformance" / "tools.py"
MOST = 20 * 2**20
"""Bytes that the process may grow by, at its peak."""
MEBIBYTE = 2**20
LINE = b"x: " + b"y" * 1000 + b"\r\n"
HEAD = b"POST /agents/code/turns HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SMALL = b"GET / HTTP/1.1\r\nHost:x\r\n\r\n"
FLOODS: Mapping[str, tuple[bytes, bytes]] = {
    "a body that was announced": (HEAD + b"Content-Length: 200000000\r\n\r\n", b"x" * MEBIBYTE),
    "a body that was not": (CHUNKED, b"100000\r\n" + b"x" * MEBIBYTE + b"\r\n"),
    "headers without end": (HEAD, LINE * 1000),
    "one header without end": (HEAD + b"X: ", b"y" * MEBIBYTE),
    "an address without end": (b"GET /", b"y" * MEBIBYTE),
    "trailers without end": (CHUNKED + b"2\r\n{}\r\n0\r\n", LINE * 1000),
    "one trailer without end": (CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"y" * MEBIBYTE),
    "an extension without end": (CHUNKED + b"2;", b"y" * MEBIBYTE),
    "empty lines": (b"", b"\r\n" * (MEBIBYTE // 2)),
    "requests behind a stream": (b"GET /agents/code/stream HTTP/1.1\r\nHost: localhost\r\n\r\n", SMALL * 40_000),
    "answers that nobody reads": (b"", SMALL.replace(b" / ", b" /openapi.json ") * 1000),
}
"""How it begins, and what is sent again and again then."""
TIMES = 64


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    allow_many_descriptors()
    with serving(tmp_path_factory.mktemp("server"), TOOLS, settings={"head_timeout": 2, "body_timeout": 2}) as service:
        httpx.get(f"{service.url}/openapi.json", trust_env=False)  # made once, and kept
        yield service


async def pour(service: Service, begin: bytes, more: bytes) -> None:
    """Send it all without reading an answer, as long as the service takes it."""
    _reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(5):
            writer.write(begin)
            for _ in range(TIMES):
                writer.write(more)
                await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize("name", FLOODS)
async def test_floods(service: Service, name: str) -> None:
    before = service.peak()
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(pour(service, *FLOODS[name]))
    assert service.is_ready()
    assert service.peak() - before < MOST, f"{(service.peak() - before) / MEBIBYTE:.0f} MiB"


async def test_bodies_that_are_hard_to_read(service: Service) -> None:
    before = service.peak()
    for body in REFUSED.values():
        request = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        for _ in range(10):
            (answer,) = (await exchange(service.port, [request])).answers
            assert answer.status == 400
    assert service.peak() - before < MOST


@asynccontextmanager
async def half(service: Service, sent: bytes) -> AsyncIterator[None]:
    _reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(sent)
    try:
        yield
    finally:
        writer.transport.abort()


async def test_a_thousand_half_requests(service: Service) -> None:
    """While they are there others are answered; then they are let go of."""
    before = service.descriptors()
    async with (
        AsyncExitStack() as halves,
        httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=20) as other,
    ):
        for number in range(1000):
            sent = (HEAD, HEAD + b"Content-Length: 9\r\n\r\n{", CHUNKED, b"")[number % 4]
            await halves.enter_async_context(half(service, sent))
        answer = await other.post("/agents/code/turns", json={"tool": "greet"}, headers={"Prefer": "wait=10"})
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")
        await eventually(lambda: service.descriptors() < before + 10, timeout=30)
    assert service.is_ready()
