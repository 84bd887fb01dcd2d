"""A cursor gives every later event once, in order, then live: wherever the connection was cut, under load."""

import asyncio
import random
from contextlib import suppress

import pytest
from httpx_sse import aconnect_sse

from tests.caller import Caller
from tests.follower import Event, following
from tests.history import check_log, check_slice
from tests.service import Service

pytestmark = pytest.mark.anyio


async def test_post_first_and_listen_second(service: Service, caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    await caller.do(agent, "echo", args=["early"])
    async with following(f"{service.url}/agents/{agent}/stream") as follower:
        assert (await follower.until_type("turn.value"))["data"] == {"index": 0, "value": "early"}
        assert follower.events[0]["type"] == "agent.created"


async def test_a_turns_stream_ends_with_it(service: Service, caller: Caller) -> None:
    agent = await caller.make_agent("count")
    turns = [await caller.submit(agent, "count", args=[5, 0.001]) for _ in range(3)]
    for turn in reversed(turns):
        async with following(service.url + turn["links"]["stream"]) as follower:
            assert await follower.to_end() == await caller.of_turn(turn)
        assert follower.events[-1]["type"] == "turn.completed"
        async with following(service.url + turn["links"]["stream"], cursor=follower.parser.id) as again:
            assert again.status == 204


async def test_cut_after_any_number_of_bytes(service: Service, caller: Caller) -> None:
    """The connection is cut again and again, in the middle of heads, frames and characters, while turns run."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    agent = await caller.make_agent("count", "echo")
    last = [await caller.submit(agent, "count", args=[150, 0.001]), await caller.submit(agent, "echo", args=["∑ö"])][-1]
    received: list[Event] = []
    cursor, connections = "", 0
    async with asyncio.timeout(30):
        while not received or received[-1]["type"] != "turn.completed" or received[-1]["turn_id"] != last["id"]:
            some, cursor = await _bytes(service, f"/agents/{agent}/stream", cursor, dice.randrange(1, 6000))
            received += some
            connections += 1
    assert connections > 5
    events = await caller.events(agent)
    check_log(events)
    assert received == events


async def _bytes(service: Service, path: str, cursor: str, number: int) -> tuple[list[Event], str]:
    """Read so many bytes of the body, or what comes in a moment, and cut; the whole events in it, the last event id."""
    async with following(service.url + path, cursor=cursor) as follower:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                while number > 0:
                    number -= await follower.take(number)
        return follower.events, follower.parser.id or cursor


async def test_no_seam_between_replay_and_live(service: Service, caller: Caller) -> None:
    """Readers join at random places while events are written as fast as they can be."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    agent = await caller.make_agent("count", "echo")
    url = f"{service.url}/agents/{agent}/stream"
    turns = [await caller.submit(agent, "count", args=[600, 0.0005]) for _ in range(3)]
    end = asyncio.get_running_loop().create_future()

    async def read() -> tuple[int, list[Event]]:
        await asyncio.sleep(dice.uniform(0, 0.7))  # anywhere in the load
        latest = (await caller.agent(agent))["latest"]
        cursor = dice.choice([latest, max(0, latest - 1), dice.randint(0, latest)])
        async with following(url, cursor=cursor) as follower:
            return cursor, list(await follower.until(await asyncio.shield(end)))

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(60)]
        await caller.ended(turns[-1])
        end.set_result((await caller.agent(agent))["latest"])
    events = await caller.events(agent)
    check_log(events)
    for reader in readers:
        cursor, received = reader.result()
        assert len(received) == len(events) - cursor
        check_slice(received, events, cursor)


async def test_a_cursor_beyond_the_end_is_told_and_reset(service: Service, caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    await caller.do(agent, "echo", args=[1])
    events = await caller.events(agent)
    async with following(f"{service.url}/agents/{agent}/stream", cursor=10_000) as follower:
        assert await follower.until(len(events)) == events
        assert follower.frames[0].event == "stream.reset"
        assert follower.frames[0].id == "0"


async def test_other_clients_understand_the_stream(caller: Caller) -> None:
    """A reader that is not ours."""
    agent = await caller.make_agent("count")
    turn = await caller.do(agent, "count", args=[10])
    async with aconnect_sse(caller.http, "GET", turn["links"]["stream"]) as source:
        received = [event.json() async for event in source.aiter_sse() if event.data]
    assert received == await caller.of_turn(turn)


NASTY = [
    "\n\nevent: turn.completed\ndata: {}\n\n", "\r\rid: 999999\r\r", "\r\n\r\ndata: x", "a\u2028b\u2029c\u0085d",
    "\x00", ": comment\n", "\ufeff", "\x0b\x0c\x1c\x1d\x1e", "data: [DONE]\n\n", "\U0001f600\u0301", "\\u000a",
    "</script><script>",
]  # fmt: skip


async def test_values_cannot_break_out_of_their_frame(service: Service, caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    for value in (*NASTY, {key: [key] for key in NASTY}):
        await caller.submit(agent, "echo", kwargs={"value": value}, metadata={"m": value})
    last = await caller.do(agent, "echo", args=["last"])
    events = await caller.events(agent)
    async with following(f"{service.url}/agents/{agent}/stream") as follower:
        assert await follower.until(len(events)) == events
    values = [event["data"]["value"] for event in follower.events if event["type"] == "turn.value"]
    assert values == [*NASTY, {key: [key] for key in NASTY}, "last"]
    assert [frame.event for frame in follower.frames] == [event["type"] for event in events]
    assert follower.events[-1]["turn_id"] == last["id"]
    text = follower.raw.decode()
    assert len(text.splitlines()) == text.count("\n"), "something that a parser may take for a line end is on the wire"
    assert "\x00" not in text
    check_log(events)
