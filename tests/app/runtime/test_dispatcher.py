"""Which turns are claimed: none starves, none is tried over and over."""

import asyncio
import json
from typing import Any

import pytest

from pygents_app import main
from pygents_app.clock import system_clock
from pygents_app.commands import Claim, Command, CreateAgent, Enqueue, Finish, Starter
from pygents_app.errors import StoreFull, Unavailable
from pygents_app.model import Definition, Fence, Outcome, TurnSpec, TurnStatus
from pygents_app.runtime import dispatcher as module
from pygents_app.store.opening import open_store
from pygents_core.tool import Retry, tool
from tests.app.runtime.node import FlawedStore, Node, running
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


FORMER = Starter("former", frozenset({"echo"}))


async def begin(store: FlawedStore, agent: str, retry: Retry) -> None:
    """A former process has begun a turn that may be tried again: ``again-`` and the agent's name."""
    await store.execute(CreateAgent(Definition(agent, tools=("echo",))))
    spec = TurnSpec(f"again-{agent}", agent, "echo", retry=retry)
    await store.execute(Enqueue(agent, (spec,), 1, starter=FORMER))


async def test_a_suspect_that_cannot_be_claimed_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep all other suspects waiting until its time in the quarantine is over."""
    monkeypatch.setattr(module, "SCAN_SECONDS", 0.05)
    tool()(echo)
    store = FlawedStore()
    for name in ("a", "b"):
        await begin(store, name, Retry(3, delay=0))
    refused: list[str] = []

    def refuse(command: Command) -> Exception | None:
        if not isinstance(command, Claim) or not command.starter.suspects or command.agent in refused:
            return None
        refused.append(command.agent)
        return Unavailable("For now.")

    store.refuse = refuse
    async with running(store=store) as node:
        for name in ("a", "b"):
            assert (await node.ended(f"again-{name}")).status is TurnStatus.COMPLETED
    assert sorted(refused) == ["a", "b"]


class TestWrongClock:
    """It was a day ahead when an attempt failed: all of the mailbox would wait for a day."""

    DAY = 24 * 3600 * 1_000_000

    async def test_right_again_when_the_service_starts(self) -> None:
        tool()(echo)
        store, ahead = FlawedStore(), [self.DAY]
        store.replace(open_store("memory://", clock=lambda: system_clock() + ahead[0]))
        await begin(store, "a", Retry(3, delay=0.01))
        head = (await store.get_agent("a")).head
        outcome = Outcome(TurnStatus.ERROR, error=b'{"type":"ValueError","message":"x"}')
        await store.execute(Finish("a", "again-a", Fence(head.node, head.epoch), outcome))
        ahead[0] = 0
        async with running(store=store) as node:
            assert (await node.ended("again-a")).attempt == 2

    async def test_right_again_while_it_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "SCAN_SECONDS", 0.05)
        store, ahead = FlawedStore(), [self.DAY]

        def clock() -> int:
            return system_clock() + ahead[0]

        monkeypatch.setattr(main, "system_clock", clock)
        store.replace(open_store("memory://", clock=clock))
        tries = 0

        async def flaky() -> int:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise ConnectionError("not yet")
            return tries

        tool(retry=Retry(2, delay=60, jitter=False))(flaky)
        async with running(store=store) as node:
            agent = await node.agent("a", "flaky")
            turn = await node.submit(agent, "flaky")
            await eventually(lambda: _waits(node, turn))
            ahead[0] = 0
            assert (await node.ended(turn)).output == b"2"


async def _waits(node: Node, turn_id: str) -> bool:
    placed = await node.store.get_turn(turn_id)
    return placed.turn.retry_at is not None


class Slow(FlawedStore):
    """The commits of submits wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.asked = asyncio.Event(), asyncio.Event()

    def execute(self, command: Command) -> "asyncio.Future[Any]":
        if not isinstance(command, Enqueue):
            return super().execute(command)
        return asyncio.ensure_future(self._later(command))

    async def _later(self, command: Command) -> Any:
        self.asked.set()
        await self.gate.wait()
        return await super().execute(command)


async def test_a_turn_that_begins_while_the_drain_ends_is_interrupted() -> None:
    """Whoever asks what is running does not see it yet."""

    async def patient() -> None:
        await asyncio.Event().wait()

    tool()(patient)
    store = Slow()
    async with running(store=store, drain=0) as node:
        agent = await node.agent("a", "patient")
        submitting = asyncio.ensure_future(node.submit(agent, "patient"))
        await store.asked.wait()
        draining = asyncio.ensure_future(node.service.drain())
        for _ in range(20):  # more than it takes to find nothing running
            await asyncio.sleep(0.01)
        store.gate.set()
        await draining
        turn = await node.ended(await submitting)
    assert json.loads(turn.error or b"")["type"] == "interrupted"
