"""A thousand streams at once, and nothing that stays behind when clients and turns come and go."""

import asyncio
import time

import pytest

from tests.caller import Caller
from tests.follower import Follower, following
from tests.helpers import eventually
from tests.service import Service, allow_many_descriptors

pytestmark = pytest.mark.anyio

STREAMS = 1000

allow_many_descriptors()


async def test_a_thousand_streams_get_the_event(service: Service, caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    url = f"{service.url}/agents/{agent}/stream?after=latest"
    ready: list[Follower] = []
    resident = service.resident()

    async def read() -> list[str]:
        async with following(url) as follower:
            await follower.until(1)
            ready.append(follower)
            return [event["type"] for event in await follower.until(5)]

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(STREAMS)]
        await eventually(lambda: len(ready) == STREAMS, timeout=30)
        print(f"{(service.resident() - resident) / STREAMS / 1024:.1f} KiB for each stream")
        began = time.monotonic()
        await caller.submit(agent, "echo", args=["for all"])
    print(f"{time.monotonic() - began:.2f} s from the post to the last reader")
    expected = ["turn.queued", "turn.started", "turn.value", "turn.completed"]
    assert [reader.result() for reader in readers] == [expected] * STREAMS


async def test_nothing_stays_behind(service: Service, caller: Caller) -> None:
    """Descriptors, threads and tasks are back at what they were."""
    agent = await caller.make_agent("echo", "count", "tasks", "gated", "cleaning")
    url = f"{service.url}/agents/{agent}/stream"

    async def connect_and_abort(number: int) -> None:
        async with following(url if number % 2 else f"{url}?after=latest") as follower:
            if number % 3:
                await follower.read()

    async def churn(number: int) -> None:
        await asyncio.gather(*(connect_and_abort(number) for number in range(number)))
        turns = [await caller.submit(agent, "count", args=[3]) for _ in range(number)]
        stopped = await caller.submit(agent, "gated", args=["/nowhere/at/all"])
        await caller.ended(turns[-1])
        await caller.cancel(stopped)
        await caller.ended(stopped)

    await churn(20)  # threads of pools and pages of caches that come with the first use
    before = await _holdings(service, caller, agent)
    await churn(200)

    async def is_back() -> bool:
        return await _holdings(service, caller, agent) <= before

    await eventually(is_back, timeout=10)


async def _holdings(service: Service, caller: Caller, agent: str) -> "Holdings":
    turn = await caller.do(agent, "tasks")
    return Holdings((service.descriptors(), service.threads(), int(turn["output"])))


class Holdings(tuple[int, int, int]):
    """Descriptors, threads, tasks of the loop that runs tools."""

    def __le__(self, earlier: tuple[int, ...]) -> bool:
        return all(now <= then for now, then in zip(self, earlier, strict=True))
