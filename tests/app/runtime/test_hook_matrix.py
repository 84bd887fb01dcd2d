"""Every hook type x what a hook may do x how the turn ends, on the real runner."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pygents_app.errors import SubmitRejected, Unavailable
from pygents_app.model import Turn, TurnStatus
from pygents_app.runtime.requests import TurnRequest
from pygents_core import Agent, AgentHook, ToolHook, TurnHook, current_turn, tool
from pygents_core.hooks import GUARDING, HookType
from tests.app.runtime.node import Node, running
from tests.helpers import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("registries")]

LIMIT = 0.1
"""Seconds that a hook may take here."""

# How a turn must end for hooks of that type to be called, and by which of the two tools.
ENDS: dict[HookType, tuple[str, str]] = {
    TurnHook.BEFORE_RUN: ("work", "completed"),
    TurnHook.AFTER_RUN: ("work", "completed"),
    TurnHook.ON_VALUE: ("stream", "completed"),
    TurnHook.ON_ERROR: ("work", "error"),
    TurnHook.ON_TIMEOUT: ("work", "timeout"),
    AgentHook.BEFORE_TURN: ("work", "completed"),
    AgentHook.AFTER_TURN: ("stream", "completed"),
    AgentHook.ON_TURN_VALUE: ("work", "completed"),
    AgentHook.ON_TURN_ERROR: ("stream", "error"),
    AgentHook.ON_TURN_TIMEOUT: ("stream", "timeout"),
    ToolHook.BEFORE_INVOKE: ("work", "completed"),
    ToolHook.AFTER_INVOKE: ("stream", "completed"),
}
FAILURES = ("raises", "exits", "hangs", "resists", "returns at once when cancelled")
PUT = (AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT)


class Behaving:
    """A hook that does what its test says, once, and counts its calls."""

    def __init__(self, how: str) -> None:
        self.how, self.calls = how, 0
        self.released = asyncio.Event()

    async def __call__(self, *_args: Any, **_kwargs: Any) -> None:
        self.calls += 1
        if self.calls == 1:
            await self._do()

    async def _do(self) -> None:
        match self.how:
            case "raises":
                raise ValueError("a hook, on purpose")
            case "exits":
                raise SystemExit(3)
            case "hangs":
                await asyncio.Event().wait()
            case "resists":
                await self._resist()
            case "returns at once when cancelled":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    return
            case "changes metadata":
                current_turn().metadata = {"changed": True}
            case "changes output":
                current_turn().output = "mine"
            case "assigns kwargs":
                current_turn().kwargs = {"end": "completed"}

    async def _resist(self) -> None:
        """Ignore the first cancellation."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(LIMIT)


async def work(end: str) -> str:
    if end == "error":
        raise RuntimeError("the tool, on purpose")
    if end == "timeout":
        await asyncio.Event().wait()
    return "worked"


async def stream(end: str) -> AsyncIterator[str]:
    yield await work(end)


def made(kind: HookType, hook: Behaving) -> Agent:
    """An agent of the code with both tools and that one hook."""
    name = f"on_{kind.value}"
    hook.__name__ = name  # type: ignore[attr-defined]
    on_tool = {kind: [hook]} if isinstance(kind, ToolHook) else None
    tools = [tool(hooks=on_tool)(work), tool(hooks=on_tool)(stream)]
    on_agent = {kind: [hook]} if not isinstance(kind, ToolHook) else None
    return Agent("a", "", tools, hooks=on_agent, register=False)


async def run(node: Node, tool_name: str, end: str) -> Turn:
    timeout = 0.1 if end == "timeout" else 60
    request = TurnRequest(tool_name, [], {"end": end}, timeout=timeout)
    accepted = await node.service.services.submission.submit("a", [request])
    return await node.ended(accepted.turns[0].turn.id)


def error_type(turn: Turn) -> str | None:
    return str(json.loads(turn.error)["type"]) if turn.error is not None else None


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("kind", ENDS, ids=str)
async def test_hooks_that_fail(kind: HookType, how: str) -> None:
    """One that guards fails the turn; what another does changes nothing. The next turn is as any."""
    hook, (tool_name, end) = Behaving(how), ENDS[kind]
    async with running(made(kind, hook), hook_timeout=LIMIT) as node:
        turn = await run(node, tool_name, end)
        assert hook.calls == 1
        if kind in GUARDING:
            assert (turn.status, error_type(turn)) == (TurnStatus.ERROR, "hook")
        else:
            assert turn.status.value == end
            assert error_type(turn) == ("RuntimeError" if end == "error" else None)
        again = await run(node, tool_name, end)
        assert (again.status.value, hook.calls) == (end, 2)
        await eventually(lambda: node.service.services.dispatcher.trouble("a") is None)


@pytest.mark.parametrize("how", ["changes metadata", "changes output"])
@pytest.mark.parametrize("kind", ENDS, ids=str)
async def test_hooks_that_change_the_turn(kind: HookType, how: str) -> None:
    """What is stored stays what was asked for, and what the tool gave."""
    hook, (tool_name, end) = Behaving(how), ENDS[kind]
    async with running(made(kind, hook), hook_timeout=LIMIT) as node:
        turn = await run(node, tool_name, end)
        assert (turn.status.value, turn.spec.metadata) == (end, b"{}")
        if end == "completed":
            assert turn.output == (b'"worked"' if tool_name == "work" else b'["worked"]')


@pytest.mark.parametrize("kind", ENDS, ids=str)
async def test_hooks_that_assign_what_may_not_change(kind: HookType) -> None:
    """SafeExecutionError while the turn runs, which is a failure of the hook as any other."""
    hook, (tool_name, end) = Behaving("assigns kwargs"), ENDS[kind]
    async with running(made(kind, hook), hook_timeout=LIMIT) as node:
        turn = await run(node, tool_name, end)
        if kind in GUARDING and kind is not AgentHook.ON_TURN_VALUE:  # that of a coroutine's value comes after the end
            assert (turn.status, error_type(turn)) == (TurnStatus.ERROR, "hook")
        else:
            assert turn.status.value == end


async def test_what_a_guard_changes_in_place_is_what_the_tool_gets() -> None:
    """Its arguments are bound after it."""

    async def correct(turn: Any) -> None:
        turn.kwargs["end"] = "completed"

    agent = Agent("a", "", [tool()(work)], hooks={TurnHook.BEFORE_RUN: [correct]}, register=False)
    async with running(agent) as node:
        assert (await run(node, "work", "error")).output == b'"worked"'


@pytest.mark.parametrize("how", ["raises", "exits", "hangs", "resists"])
@pytest.mark.parametrize("kind", PUT, ids=str)
async def test_put_hooks_that_fail(kind: AgentHook, how: str) -> None:
    """From outside: one that raises refuses, one that is slow makes it a matter of later."""
    hook = Behaving(how)
    async with running(made(kind, hook), hook_timeout=LIMIT) as node:
        if kind is AgentHook.BEFORE_PUT:
            with pytest.raises(SubmitRejected if how in ("raises", "exits") else Unavailable):
                await run(node, "work", "completed")
        else:
            assert (await run(node, "work", "completed")).output == b'"worked"'
        assert (await run(node, "work", "completed")).output == b'"worked"'
        assert hook.calls == 2


def test_the_matrix_is_whole() -> None:
    assert {*ENDS, *PUT} == {*TurnHook, *AgentHook, *ToolHook}
