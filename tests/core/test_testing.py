from typing import Any

import pytest

from pygents_core import Agent, AgentHook, ToolRegistry, Turn, TurnHook
from pygents_core.testing import RecordingHooks, run_agent, scripted_tool

pytestmark = pytest.mark.anyio


async def test_a_script_and_the_calls() -> None:
    step = scripted_tool("step", 1, ValueError("x"))
    assert ToolRegistry.get("step") is step
    assert await step(1, b=2) == 1
    with pytest.raises(ValueError, match="x"):
        await step()
    with pytest.raises(AssertionError, match="called 3 times"):
        await step()
    assert step.calls == [((1,), {"b": 2}), ((), {}), ((), {})]


async def test_a_streaming_script() -> None:
    step = scripted_tool("step", [1, KeyError], [], streaming=True)
    seen: list[Any] = []
    with pytest.raises(KeyError):
        async for value in step():
            seen.append(value)
    assert seen == [1]
    assert [value async for value in step()] == []


async def test_run_agent_and_recording_hooks() -> None:
    recording = RecordingHooks(AgentHook.ON_TURN_VALUE, TurnHook.AFTER_RUN)
    agent = Agent("a", "", [scripted_tool("step", 1, 2)], hooks=recording.hooks)
    turns: list[Turn[Any]] = [Turn("step"), Turn("step")]
    assert await run_agent(agent, *turns) == [(turns[0], 1), (turns[1], 2)]
    assert recording.kinds == [TurnHook.AFTER_RUN, AgentHook.ON_TURN_VALUE] * 2
    assert recording.events[1] == (AgentHook.ON_TURN_VALUE, (agent, turns[0], 1))


def test_two_recorders_do_not_collide() -> None:
    for name in ("a", "b"):
        Agent(name, "", [], hooks=RecordingHooks().hooks)
