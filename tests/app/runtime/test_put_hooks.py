"""Put hooks of an agent: once for each turn, whichever way it comes, and AFTER_PUT only if it is in the mailbox."""

import asyncio

import pytest

from pygents_app.model import TurnStatus
from pygents_app.runtime.requests import TurnRequest
from pygents_core import Turn
from pygents_core.agent import Agent, current_agent
from pygents_core.hooks import AgentHook
from pygents_core.testing import RecordingHooks
from pygents_core.tool import tool
from tests.app.runtime.node import running

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("registries")]

ONCE = [AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT]


async def echo(value: object = None) -> object:
    return value


async def test_a_put_from_outside_any_turn() -> None:
    """``Agent.put`` has run the hooks itself."""
    hooks = RecordingHooks(*ONCE)
    agent = Agent("a", "", [tool()(echo)], hooks=hooks.hooks, register=False)
    async with running(agent) as node:
        await agent.put(Turn("echo", [1]))
        assert hooks.kinds == ONCE
        page = await node.service.services.store.list_turns("a")
        assert (await node.ended(page.items[0].turn.id)).output == b"1"
    assert hooks.kinds == ONCE


async def test_a_send_from_outside_any_turn() -> None:
    hooks = RecordingHooks(*ONCE)
    work = tool()(echo)
    target = Agent("target", "", [work], hooks=hooks.hooks, register=False)
    sender = Agent("sender", "", [work], register=False)
    async with running(sender, target):
        await sender.send_turn("target", Turn("echo", [1]))
    assert hooks.kinds == ONCE


async def test_a_returned_turn_that_is_not_stored_was_not_put() -> None:
    """The agent's mailbox is full when the turn ends: BEFORE_PUT has passed it, AFTER_PUT would be a lie."""
    hooks = RecordingHooks(*ONCE)

    async def returns_turn() -> Turn[object]:
        await current_agent().put(Turn("echo", [1]))
        return Turn("echo", [2])

    agent = Agent("a", "", [tool()(echo), tool()(returns_turn)], hooks=hooks.hooks, register=False)
    async with running(agent, mailbox_limit=1) as node:
        turn = await node.do("a", "returns_turn")
        assert (turn.status, b'"mailbox_full"' in (turn.error or b"")) == (TurnStatus.ERROR, True)
        page = await node.service.services.store.list_turns("a")
        for placed in page.items:
            await node.ended(placed.turn.id)
    # The submit, the put, and the returned turn, which got no further.
    assert [hooks.kinds.count(kind) for kind in ONCE] == [3, 2]


async def test_twins_of_one_key_put_one_turn() -> None:
    hooks = RecordingHooks(*ONCE)
    agent = Agent("a", "", [tool()(echo)], hooks=hooks.hooks, register=False)
    async with running(agent) as node:
        submit = node.service.services.submission.submit
        twins = [submit("a", [TurnRequest("echo", [1], {})], key="k") for _ in range(5)]
        accepted = await asyncio.gather(*twins)
        assert len({each.turns[0].turn.id for each in accepted}) == 1
        await node.ended(accepted[0].turns[0].turn.id)
    assert hooks.kinds.count(AgentHook.AFTER_PUT) == 1
