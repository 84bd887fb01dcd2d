"""Tools that misbehave: the turn ends ``error`` and says why; the server, the agent and all others live on."""

import time
from pathlib import Path

import pytest

from tests.caller import Caller
from tests.faults.agents import HOSTILE
from tests.follower import following
from tests.history import check_log
from tests.service import Service

pytestmark = pytest.mark.anyio

NOT_JSON = {"NaN", "Infinity", "cycle", "deep", "surrogate", "object", "unprintable value"}
TYPES = {
    **dict.fromkeys(NOT_JSON, "not_json"), "large": "too_large", "surrogates": "ValueError", "long text": "ValueError",
    "bytes": "not_json",
}  # fmt: skip
# Python itself turns these into others when they leave a coroutine or a generator.
RUNTIME_ERRORS = {("hostile", "StopAsyncIteration"), ("hostile_stream", "StopAsyncIteration")}


@pytest.mark.parametrize("tool", ["hostile", "hostile_stream"])
@pytest.mark.parametrize("kind", HOSTILE)
async def test_hostile(service: Service, caller: Caller, tool: str, kind: str) -> None:
    pid = service.pid
    agent = await caller.make_agent(tool, "echo")
    turn = await caller.do(agent, tool, args=[kind])
    assert turn["status"] == "error", turn
    if (tool, kind) not in RUNTIME_ERRORS:
        assert turn["error"]["type"] == TYPES.get(kind, kind)
    assert len(turn["error"]["message"]) <= 4096
    assert turn["values"] == (1 if tool == "hostile_stream" else 0)
    end = (await caller.of_turn(turn))[-1]
    assert (end["type"], end["data"]["error"]) == ("turn.error", turn["error"])
    assert (await caller.do(agent, "echo", args=["alive"]))["output"] == "alive"
    assert (await caller.agent(agent))["last_error"] is not None
    assert service.running
    assert service.pid == pid
    check_log(await caller.events(agent))


async def test_none_is_a_value(caller: Caller) -> None:
    agent = await caller.make_agent("nothing", "nothings")
    one, two = await caller.do(agent, "nothing"), await caller.do(agent, "nothings")
    assert (one["status"], one["values"], one["output"]) == ("completed", 1, None)
    assert (two["status"], two["values"], two["output"]) == ("completed", 2, [None, None])
    values = [event["data"] for event in await caller.events(agent) if event["type"] == "turn.value"]
    assert values == [{"index": 0, "value": None}, {"index": 0, "value": None}, {"index": 1, "value": None}]


async def test_a_generator_cannot_yield_a_turn(caller: Caller) -> None:
    agent = await caller.make_agent("yields_turn", "echo")
    turn = await caller.do(agent, "yields_turn")
    assert (turn["status"], turn["error"]["type"]) == ("error", "TypeError")
    assert [found["tool"] for found in await caller.turns(agent)] == ["yields_turn"]


async def test_a_bomb_left_behind(service: Service, caller: Caller) -> None:
    """SystemExit in a task of the tool's own leaves the loop that tools run on; the loop goes on."""
    agent, other = await caller.make_agent("leaves_a_bomb", "echo"), await caller.make_agent("gated")
    for number in range(3):
        held = await caller.submit(other, "gated", args=["/"])
        assert (await caller.do(agent, "leaves_a_bomb"))["output"] == "left"
        assert (await caller.do(agent, "echo", args=[number]))["output"] == number
        assert (await caller.ended(held))["status"] == "completed"
    assert service.running


async def test_a_tool_that_blocks_its_loop(service: Service, caller: Caller, tmp_path: Path) -> None:
    """HTTP is served elsewhere: requests are answered, turns accepted, streams go on."""
    agent, quiet, gate = await caller.make_agent("blocking"), await caller.make_agent("echo"), tmp_path / "gate"
    turn = await caller.submit(agent, "blocking", args=[str(gate)])
    await caller.becomes(turn, "running")
    async with following(f"{service.url}/agents/{quiet}/stream") as follower:
        began = time.monotonic()
        other = await caller.submit(quiet, "echo", args=[1])
        await follower.until_type("turn.queued")
        assert (await caller.http.get("/readyz")).status_code == 200
        assert time.monotonic() - began < 1.0
        gate.touch()
        assert (await caller.ended(other))["output"] == 1
    assert (await caller.ended(turn))["status"] == "completed"


async def test_too_many_values(caller: Caller) -> None:
    agent = await caller.make_agent("count", "echo")
    turn = await caller.submit(agent, "count", args=[100_001])
    ended = await caller.ended(turn)
    assert (ended["status"], ended["error"]["type"], ended["values"]) == ("error", "too_many_values", 100_000)
    assert ended["output"] is None
    assert (await caller.do(agent, "echo", args=[1]))["output"] == 1
