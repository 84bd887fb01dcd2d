"""An agent of which something is damaged: everybody else is served, and the log tells of it once."""

import asyncio
import logging

import pytest

from pygents_app.clock import system_clock
from pygents_app.commands import Claim, Command, CreateAgent, Enqueue, Promote, Recover, Starter
from pygents_app.errors import Damaged
from pygents_app.model import TurnSpec, TurnStatus
from pygents_app.runtime import dispatcher
from pygents_core.agent import Agent
from pygents_core.tool import tool
from tests.app.runtime.node import FlawedStore, running
from tests.helpers import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("registries")]

BROKEN = ("bad", "broken")
"""They come before ``good``."""


async def echo(value: object = None) -> object:
    return value


def damaged(command: Command) -> Exception | None:
    return Damaged(f"The row of agent {command.agent!r}") if command.agent in BROKEN else None


def told(caplog: pytest.LogCaptureFixture, agent: str) -> list[str]:
    return [record.message for record in caplog.records if agent in record.message and record.levelno >= logging.ERROR]


async def test_what_a_former_process_left_running(caplog: pytest.LogCaptureFixture) -> None:
    tool()(echo)
    store = FlawedStore()
    turns = await store.fill([*BROKEN, "good"], "echo")
    for name in turns:
        await store.execute(Claim(name, Starter("former", frozenset({"echo"}))))
    store.refuse = damaged
    async with running(store=store) as node:
        assert b'"interrupted"' in ((await node.ended(turns["good"])).error or b"")
        assert (await node.do("good", "echo", 1)).status is TurnStatus.COMPLETED
    assert [len(told(caplog, name)) for name in BROKEN] == [1, 1]


async def test_agents_of_the_code(caplog: pytest.LogCaptureFixture) -> None:
    tooled = tool()(echo)
    store = FlawedStore()
    store.refuse = lambda command: damaged(command) if isinstance(command, CreateAgent) else None
    agents = [Agent(name, "of the code", [tooled]) for name in (*BROKEN, "good")]
    async with running(*agents, store=store) as node:
        assert (await node.do("good", "echo", 1)).status is TurnStatus.COMPLETED
    assert [len(told(caplog, name)) for name in BROKEN] == [1, 1]


async def test_what_is_due_and_what_waits(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged agents are the first that are due, for ever."""
    monkeypatch.setattr(dispatcher, "SCAN_SECONDS", 0.05)
    tool()(echo)
    store = FlawedStore()
    waiting = await store.fill([*BROKEN, "good"], "echo")
    due = system_clock() + 200_000
    for number, name in enumerate(waiting):
        later = TurnSpec(f"later-{name}", name, "echo", not_before=due + number)
        await store.execute(Enqueue(name, (later,), 2))
    store.refuse = damaged
    async with running(store=store) as node:
        assert (await node.ended(waiting["good"])).status is TurnStatus.COMPLETED
        assert (await node.ended("later-good")).status is TurnStatus.COMPLETED
        assert [len(told(caplog, name)) for name in BROKEN] == [1, 1]
        tries = len(store.commands)
        await asyncio.sleep(0.3)  # some rounds
        assert len(store.commands) - tries < 5
        assert not [each for each in store.commands[tries:] if isinstance(each, Claim | Promote | Recover)]


async def test_a_scan_that_fails_does_not_wait_for_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "SCAN_SECONDS", 0.05)
    tool()(echo)
    store = FlawedStore()
    waiting = await store.fill(["good"], "echo")
    fails: list[int] = []

    async def next_due() -> None:
        fails.append(1)
        raise RuntimeError("cannot be read")

    monkeypatch.setattr(store, "next_due", next_due, raising=False)
    async with running(store=store) as node:
        assert (await node.ended(waiting["good"])).status is TurnStatus.COMPLETED
        assert await eventually(lambda: len(fails) > 1)
