"""Several loops that are blocked, one after the other or at once."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import cast

import pytest

from pygents_app.model import TurnStatus
from pygents_app.runtime.dispatcher import Dispatcher
from pygents_core.tool import tool
from tests.app.runtime.node import Node, running
from tests.helpers import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("registries")]

Gates = defaultdict[str, threading.Event]


@pytest.fixture
def gates() -> Gates:
    return defaultdict(threading.Event)


@pytest.fixture
async def node(registries: None, gates: Gates) -> AsyncIterator[Node]:
    following: list[asyncio.Event] = []

    async def block(name: str) -> None:
        """If somebody waits to follow, they are next on this loop."""
        for event in following:
            event.set()
        gates[name].wait()

    async def block_after(name: str) -> None:
        following.append(asyncio.Event())
        await following[0].wait()
        gates[name].wait()

    async def hold() -> None:
        while not gates["hold"].is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    for each in (block, block_after):
        tool()(each)
    tool(lock=True)(hold)
    async with running() as node:
        try:
            yield node
        finally:
            for name in ("first", "second", "hold"):
                gates[name].set()


def culprits(node: Node) -> list[str | None]:
    return [block.turn_id for block in cast(Dispatcher, node.service.services.dispatcher).blocks()]


async def status(node: Node, turn_id: str) -> TurnStatus:
    placed = await node.service.services.store.get_turn(turn_id)
    assert placed is not None
    return placed.turn.status


async def test_the_one_that_blocks_the_loop_now_is_told(node: Node, gates: Gates) -> None:
    """The loop does not come round between the two, so that no probe comes back."""
    for agent, its in (("a", "block"), ("b", "block_after")):
        await node.agent(agent, its)
    after = await node.submit("b", "block_after", "second")
    await eventually(lambda: status_is(node, after, TurnStatus.RUNNING))
    first = await node.submit("a", "block", "first")
    await eventually(lambda: culprits(node) == [first])
    gates["first"].set()
    await eventually(lambda: culprits(node) == [after])
    gates["second"].set()
    for turn_id in (first, after):
        assert (await node.ended(turn_id)).status is TurnStatus.COMPLETED


async def status_is(node: Node, turn_id: str, wanted: TurnStatus) -> bool:
    return await status(node, turn_id) is wanted


async def test_a_waiter_whose_loop_is_blocked_keeps_no_lock(node: Node, gates: Gates) -> None:
    """It waited there for the lock and was moved; what it left on the blocked loop must not be given it."""
    for agent in ("holder", "waiter"):
        await node.agent(agent, "hold")
    for agent in ("x", "y"):
        await node.agent(agent, "block")
    dispatcher = cast(Dispatcher, node.service.services.dispatcher)
    held = await node.submit("holder", "hold")
    await eventually(lambda: status_is(node, held, TurnStatus.RUNNING))
    await node.submit("x", "block", "first")
    await eventually(lambda: dispatcher.trouble("x") == "blocked")
    waiting = await node.submit("waiter", "hold")
    await eventually(lambda: dispatcher.waits_for_lock(waiting))
    await node.submit("y", "block", "second")
    await eventually(lambda: dispatcher.trouble("y") == "blocked")
    gates["hold"].set()
    gates["first"].set()
    for turn_id in (held, waiting):
        assert (await node.ended(turn_id)).status is TurnStatus.COMPLETED
    assert dispatcher.trouble("y") == "blocked"
