"""Retention on a real server: logs and file stay bounded, readers hear of it, writers do not notice."""

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from tests.caller import calling
from tests.follower import following
from tests.helpers import eventually
from tests.history import check_contiguous
from tests.service import Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]
KEPT = 500


async def test_what_is_not_kept(own: Own) -> None:
    """Logs become no longer, cursors from before are reset, streams of turns from before are gone."""
    service = own(retention_events=KEPT)
    async with calling(service.url) as caller:
        agent = await caller.make_agent("count")
        first = await caller.do(agent, "count", args=[10])
        for _ in range(2):
            await caller.do(agent, "count", args=[KEPT])
        last = await caller.do(agent, "count", args=[KEPT])

        async def pruned() -> bool:
            now = await caller.agent(agent)
            return bool(now["latest"] - now["earliest"] + 1 == KEPT)

        await eventually(pruned)
        shown = await caller.agent(agent)
        events = await caller.events(agent)
        check_contiguous(events, shown["earliest"])
        assert events[-1]["seq"] == shown["latest"]
        async with following(f"{service.url}/agents/{agent}/stream", cursor=3) as follower:
            assert await follower.until(shown["latest"]) == events
            assert follower.frames[0].event == "stream.reset"
            reset = json.loads(follower.frames[0].data)
            assert (reset["reason"], reset["earliest"]) == ("retention", shown["earliest"])
        gone = await caller.http.get(f"/agents/{agent}/turns/{first['id']}/stream")
        assert (gone.status_code, gone.json()["earliest"]) == (410, shown["earliest"])
        assert (await caller.turn(first["id"]))["status"] == "completed"
        assert (await caller.turn(last["id"]))["values"] == KEPT


@pytest.mark.slow
async def test_steady_load_in_a_file_that_does_not_grow(own: Own) -> None:
    """And no submit waits for what is being removed."""
    service = own(retention_events=KEPT)
    sizes: list[int] = []
    slowest = 0.0
    async with calling(service.url) as caller:
        agents = [await caller.make_agent("count", "echo") for _ in range(4)]

        async def are_cut() -> bool:
            shown = [await caller.agent(agent) for agent in agents]
            return all(each["latest"] - each["earliest"] < KEPT * 1.1 for each in shown)

        for _ in range(3):
            for _ in range(3):
                turns = [await caller.submit(agent, "count", args=[3 * KEPT]) for agent in agents]
                began = time.monotonic()
                await caller.submit(agents[0], "echo", args=["x"])
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.gather(*(caller.ended(turn) for turn in turns))
            await eventually(are_cut)
            service.stop()
            sizes.append(service.database.stat().st_size)
            service.start()
    print(f"{sizes} bytes, the slowest submit took {slowest * 1000:.0f} ms")
    assert sizes[-1] < 4 * 2**20  # of 54,000 events
    assert slowest < 1.0
