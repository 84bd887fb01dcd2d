"""Callers that ask for more than their share, on a real server: they are held back, and nobody else notices."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.caller import Caller, calling
from tests.helpers import eventually
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

KEY = "correct-horse-battery"
RATE_BURST, STREAMS = 50, 5
SETTINGS = {
    "admin_key": KEY, "rate": 0.001, "rate_burst": RATE_BURST, "max_caller_streams": STREAMS, "wrong_keys": 10,
    "head_timeout": 0.5, "body_timeout": 0.5,
}  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, "--demo", settings=SETTINGS) as service:
        yield service


@pytest.fixture
async def admin(service: Service) -> Any:
    async with calling(service.url, KEY) as caller:
        yield caller


async def make_key(admin: Caller, *scopes: str) -> str:
    answer = await admin.http.post("/keys", json={"name": "a", "scopes": list(scopes)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


async def refused(admin: Caller, limit: str) -> int:
    """How often something was, as the metrics tell."""
    text = (await admin.http.get("/metrics")).text
    found = re.search(rf'^pygents_refused_total{{limit="{limit}"}} (\d+)', text, re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_one_key_in_a_loop(service: Service, admin: Caller) -> None:
    greedy = await make_key(admin, "turns:write", "agents:read")
    async with calling(service.url, greedy) as caller:
        answers = await asyncio.gather(*(caller.post("greeter", "greet") for _ in range(RATE_BURST + 30)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(429) == 30
    assert len(await admin.turns("greeter")) <= RATE_BURST
    assert await refused(admin, "rate") == 30
    await admin.do("greeter", "greet", kwargs={"name": "Ann"})


async def test_one_key_with_many_streams(service: Service, admin: Caller) -> None:
    greedy = await make_key(admin, "stream:read")
    async with AsyncExitStack() as opened, calling(service.url, greedy) as caller:
        for _ in range(STREAMS):
            await opened.enter_async_context(caller.http.stream("GET", "/agents/greeter/stream"))
        late = await caller.http.get("/agents/greeter/stream")
        assert (late.status_code, '{"reason":"busy"}' in late.text) == (200, True)
        async with admin.http.stream("GET", "/agents/greeter/stream") as other:
            assert other.status_code == 200
            assert await refused(admin, "streams") == 1


async def test_keys_that_are_tried_out(service: Service, admin: Caller) -> None:
    stored = await make_key(admin, "agents:read")
    async with calling(service.url) as guesser:
        tries = [await guesser.http.get("/agents", headers={"X-API-Key": f"correct-horse-{n}"}) for n in range(30)]
        statuses = [answer.status_code for answer in tries]
        assert statuses[:10] == [401] * 10
        assert set(statuses[15:]) == {429}, "a second goes by at most a few times meanwhile"
        assert (await guesser.http.get("/agents", headers={"X-API-Key": stored})).status_code == 200


async def test_hundreds_of_requests_that_never_end(service: Service, admin: Caller) -> None:
    """They are all let go of, and while they are there others are answered."""
    await admin.agent("greeter")
    before = service.descriptors()
    async with AsyncExitStack() as opened:
        readers = [await connect(service, opened, whole=number % 2 == 1) for number in range(500)]
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=20) as other:
            assert (await other.get("/healthz")).status_code == 200
        answers = await asyncio.gather(*(reader.read() for reader in readers))
        # The rate holds for those that have shown a key; they are answered before their body is here.
        assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408", b"HTTP/1.1 429"}
    await eventually(lambda: service.descriptors() <= before + 5, timeout=20)


async def connect(service: Service, opened: AsyncExitStack, *, whole: bool) -> asyncio.StreamReader:
    """A request that stops in its head or, with a ``whole`` one, in its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    opened.callback(writer.close)
    writer.write(b"POST /agents/greeter/turns HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
    if whole:
        writer.write(b"X-API-Key: %s\r\nContent-Length: 100\r\n\r\n{" % KEY.encode())
    return reader
