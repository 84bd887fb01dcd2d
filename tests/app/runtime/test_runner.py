"""One turn, executed in this process: what a store that fails makes of it, and what it leaves behind."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest

from pygents_app.commands import Append, Cancel, Claim, Command, Finish
from pygents_app.model import CancelRequest, Turn, TurnStatus
from pygents_app.runtime import scribe
from pygents_app.runtime.runner import Runner
from pygents_core.tool import tool
from tests.app.runtime.node import running
from tests.helpers import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("registries")]


async def count(to: int) -> AsyncIterator[int]:
    for number in range(to):
        yield number


def error_type(turn: Turn) -> str:
    assert (turn.status, turn.error is not None) == (TurnStatus.ERROR, True), turn
    return str(json.loads(turn.error or b"")["type"])


@pytest.mark.parametrize("part", [Append, Finish])
async def test_what_cannot_be_stored_makes_the_turn_an_error(
    monkeypatch: pytest.MonkeyPatch, part: type[Append | Finish]
) -> None:
    """Its first attempt at one of these commands fails in a way that nobody has foreseen."""
    monkeypatch.setattr(scribe, "REPEAT_SECONDS", 0.0)
    tool()(count)
    async with running() as node:
        agent = await node.agent("a", "count")
        flaws = [RuntimeError("broken")]
        node.store.refuse = lambda command: flaws.pop() if isinstance(command, part) and flaws else None
        assert error_type(await node.do(agent, "count", 1000)) == "not_stored"
        assert not flaws
        assert (await node.do(agent, "count", 3)).output == b"[0,1,2]"


class Heavy:
    """Something that the user's code holds while it runs."""


@pytest.fixture
def no_collections() -> Iterator[None]:
    """What lies in a reference cycle stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
async def test_failing_turns_leave_nothing_behind() -> None:
    """Neither what their code held nor who ran it: not even until the next garbage collection."""
    held: list[weakref.ref[Heavy]] = []

    async def failing() -> None:
        heavy = Heavy()
        held.append(weakref.ref(heavy))
        raise ValueError("on purpose")

    tool()(failing)
    async with running() as node:
        agent = await node.agent("a", "failing")
        for _ in range(50):
            assert error_type(await node.do(agent, "failing")) == "ValueError"
        assert len(held) == 50
        await eventually(lambda: not [ref for ref in held if ref() is not None])
        await eventually(lambda: not runners())


def runners() -> list[Runner]:
    return [found for found in gc.get_objects() if isinstance(found, Runner)]


async def held() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_a_cancel_that_comes_with_the_begin_of_a_locked_turn() -> None:
    """Both are in one commit, and the runner hears of the cancel first: that the turn has begun must not be lost."""
    tool(lock=True)(held)
    async with running() as node:
        agent = await node.agent("a", "held")

        def cancel_behind(command: Command) -> None:
            if isinstance(command, Claim) and command.turn_id is not None:
                node.store.refuse = lambda command: None
                cancel = Cancel("a", command.turn_id, CancelRequest("test", None))
                asyncio.get_running_loop().call_soon(lambda: node.store.execute(cancel))

        node.store.refuse = cancel_behind
        turn = await node.do(agent, "held")
        assert (turn.status, turn.attempt) == (TurnStatus.CANCELLED, 1)
        assert (await node.submit(agent, "held")) != turn.id
        await eventually(lambda: node.service.services.dispatcher.trouble("a") is None)
