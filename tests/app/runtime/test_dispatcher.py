"""Which turns are claimed: none starves, none is tried over and over."""

import pytest

from pygents_app.commands import Claim, Command
from pygents_app.errors import StoreFull
from pygents_app.model import TurnStatus
from pygents_app.runtime import dispatcher as module
from pygents_core.tool import tool
from tests.app.runtime.node import FlawedStore, running
from tests.helpers import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("registries")]


async def echo(value: object = None) -> object:
    return value


async def locked() -> str:
    return "held"


@pytest.mark.parametrize("concurrency", [1, 2, 1000])
async def test_agents_whose_tool_is_gone_do_not_starve_others(
    monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    """They come first in every scan, and are more than one page of it, and than there are places for turns."""
    monkeypatch.setattr(module, "SCAN_PAGE", 2)
    monkeypatch.setattr(module, "SCAN_SECONDS", 3600.0)
    tool()(echo)
    store = FlawedStore()
    waiting = await store.fill("abcdefg", "gone")
    last = await store.fill("xyz", "echo")
    async with running(store=store, concurrency=concurrency) as node:
        for turn_id in last.values():
            assert (await node.ended(turn_id)).status is TurnStatus.COMPLETED
        for turn_id in waiting.values():
            placed = await store.get_turn(turn_id)
            assert placed.turn.status is TurnStatus.QUEUED


async def test_a_turn_that_the_store_does_not_let_begin_is_not_tried_at_once() -> None:
    """Its tool's lock is held, and a store without space refuses: trying again at once would keep the machine busy."""
    tool()(echo)

    tool(lock=True)(locked)
    store = FlawedStore()

    def refuse(command: Command) -> Exception | None:
        begins = isinstance(command, Claim) and command.turn_id is not None
        return StoreFull("There is no space.") if begins else None

    def tries() -> int:
        return sum(refuse(command) is not None for command in store.commands)

    async with running(store=store) as node:
        locker, other = await node.agent("locker", "locked"), await node.agent("other", "echo")
        store.refuse = refuse
        waiting = await node.submit(locker, "locked")
        await eventually(lambda: tries() > 0)
        for number in range(20):  # long enough for hundreds of tries
            assert (await node.do(other, "echo", number)).status is TurnStatus.COMPLETED
        assert tries() <= 2  # the second one, perhaps, by a scan
        store.refuse = lambda command: None
        await node.submit(locker, "locked")  # whatever makes the agent heard of
        assert (await node.ended(waiting)).output == b'"held"'


async def test_a_locked_turn_of_an_agent_that_is_gone_is_not_tried_at_once() -> None:
    """It could hold its tool's lock, but it may not begin."""
    tool()(echo)
    tool(lock=True)(locked)
    store = FlawedStore()
    await store.fill(["left"], "locked", source="code")

    def tries() -> int:
        return sum(isinstance(command, Claim) and command.agent == "left" for command in store.commands)

    async with running(store=store) as node:
        other = await node.agent("other", "echo")
        await eventually(lambda: tries() > 0)
        for number in range(20):
            assert (await node.do(other, "echo", number)).status is TurnStatus.COMPLETED
        assert tries() <= 2
