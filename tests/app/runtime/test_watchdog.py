"""Blocked loops, in this process: what is moved, what stays, and what is not taken for a blocked loop."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import cast

import pytest

from pygents_app.commands import Command, Finish
from pygents_app.errors import StoreFull
from pygents_app.model import TurnStatus
from pygents_app.runtime.calls import Call
from pygents_app.runtime.dispatcher import Dispatcher
from pygents_app.runtime.entry import Entry
from pygents_app.runtime.requests import TurnRequest
from pygents_app.runtime.runner import Runner
from pygents_app.runtime.scribe import Ending
from pygents_app.runtime.watchdog import PATIENCE_SECONDS, Probe
from pygents_app.runtime.worker import Block, Worker
from pygents_app.runtime.workers import MAX_RETIRED, Workers
from pygents_core.memory import WorkingMemory
from pygents_core.tool import Retry, tool
from tests.app.runtime.node import Node, running
from tests.helpers import eventually, eventually_sync

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("registries")]

entered = threading.Event()
"""The code of a patient turn has begun."""

FIRST, SECOND = b'"pygents-worker"', b'"pygents-worker-2"'


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def tools(registries: None, gate: threading.Event) -> None:
    """A tool that blocks its loop, one that waits as it should, and some that tell where they run."""

    async def block() -> None:
        gate.wait()

    async def patient() -> None:
        entered.set()
        while not gate.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def where() -> str:
        return threading.current_thread().name

    async def where_remembered(memory: WorkingMemory) -> str:
        return threading.current_thread().name

    async def where_locked() -> str:
        return threading.current_thread().name

    for each in (block, patient, where, where_remembered):
        tool()(each)
    tool(lock=True)(where_locked)


@pytest.fixture
async def node(tools: None) -> AsyncIterator[Node]:
    async with running(cancel_grace=0.2) as node:
        yield node


async def status(node: Node, turn_id: str) -> TurnStatus:
    placed = await node.service.services.store.get_turn(turn_id)
    assert placed is not None
    return placed.turn.status


def trouble(node: Node, agent: str) -> str | None:
    return node.service.services.dispatcher.trouble(agent)


async def test_what_was_begun_and_not_entered_is_moved(node: Node, gate: threading.Event) -> None:
    """All in one commit, and so in one go of the worker: the first one's first step keeps the others from theirs."""
    names = ["block", "where", "where_remembered", "where_locked", "where"]
    for number, name in enumerate(names):
        await node.agent(f"a{number}", name)
    blocking, *others = await asyncio.gather(*(node.submit(f"a{number}", name) for number, name in enumerate(names)))
    for turn_id in others:
        turn = await node.ended(turn_id)
        assert (turn.output, turn.attempt) == (SECOND, 1)
    assert await status(node, blocking) is TurnStatus.RUNNING
    assert (trouble(node, "a0"), trouble(node, "a1")) == ("blocked", None)
    gate.set()
    assert (await node.ended(blocking)).status is TurnStatus.COMPLETED
    await eventually(lambda: trouble(node, "a0") is None)


async def test_a_stop_that_was_asked_for_goes_along(node: Node, gate: threading.Event) -> None:
    """A turn that was begun, asked to stop and moved does not run, or not to its end."""
    for name, its in (("a", "block"), ("b", "patient")):
        await node.agent(name, its)
    _, cancelled = await asyncio.gather(node.submit("a", "block"), node.submit("b", "patient"))
    await node.service.services.submission.cancel("b", cancelled, by="test", reason=None)
    assert (await node.ended(cancelled)).status is TurnStatus.CANCELLED
    assert await node.submit("b", "patient")


async def test_turns_that_are_in_the_middle_stay(node: Node, gate: threading.Event) -> None:
    await node.agent("a", "block")
    await node.agent("b", "patient")
    entered.clear()
    patient = await node.submit("b", "patient")
    await eventually(entered.is_set)
    blocking = await node.submit("a", "block")
    await eventually(lambda: trouble(node, "a") == "blocked")
    assert trouble(node, "b") == "blocked"
    (block,) = cast(Dispatcher, node.service.services.dispatcher).blocks()
    assert (block.agent, block.turn_id, block.worker) == ("a", blocking, "pygents-worker")
    assert "gate.wait()" in block.stack
    gate.set()
    assert (await node.ended(patient)).status is TurnStatus.COMPLETED
    await eventually(lambda: trouble(node, "b") is None)


async def test_a_timeout_from_outside_is_retried_only_when_the_code_has_stopped(gate: threading.Event) -> None:
    starts: list[str] = []

    async def block() -> None:
        starts.append(threading.current_thread().name)
        if len(starts) == 1:
            gate.wait()

    tool(retry=Retry(2, delay=0))(block)
    async with running(cancel_grace=0.1) as node:
        await node.agent("a", "block")
        turn_id = await submit_short(node, "a", "block")
        await eventually(lambda: _requeued(node, turn_id))
        assert starts == ["pygents-worker"]
        gate.set()
        turn = await node.ended(turn_id)
        assert (turn.status, turn.attempt) == (TurnStatus.COMPLETED, 2)
        assert starts == ["pygents-worker", "pygents-worker-2"]


async def submit_short(node: Node, agent: str, name: str) -> str:
    accepted = await node.service.services.submission.submit(agent, [TurnRequest(name, [], {}, timeout=0.1)])
    return accepted.turns[0].turn.id


async def _requeued(node: Node, turn_id: str) -> bool:
    return await status(node, turn_id) is TurnStatus.QUEUED


@pytest.mark.usefixtures("tools")
async def test_an_end_from_outside_waits_for_space_and_loses_against_the_turns_own(gate: threading.Event) -> None:
    """The loop comes back before the store has space again: the first commit wins, and there is one."""

    def full(command: Command) -> Exception | None:
        return StoreFull("There is no space.") if isinstance(command, Finish) and command.hold else None

    async with running(cancel_grace=0.1) as node:
        await node.agent("a", "block", "where")
        node.store.refuse = full
        turn_id = await node.submit("a", "block")
        await node.service.services.submission.cancel("a", turn_id, by="test", reason=None)
        await eventually(lambda: any(full(command) for command in node.store.commands))
        assert await status(node, turn_id) is TurnStatus.RUNNING
        gate.set()
        assert (await node.ended(turn_id)).status is TurnStatus.CANCELLED
        node.store.refuse = lambda command: None
        for _ in range(3):
            assert (await node.do("a", "where")).output == SECOND
        events = await node.service.services.store.read_events("a", 0, 100)
        assert len([event for event in events if event.turn_id == turn_id and event.type == "turn.cancelled"]) == 1


@pytest.mark.usefixtures("tools")
async def test_code_that_stops_while_its_end_is_written_from_outside(
    monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    """Between the moment at which the watchdog has given the turn up and its write: the agent must be released."""
    give_up = Runner._give_up

    def give_up_and_let_it_stop(runner: Runner, ending: Ending) -> None:
        give_up(runner, ending)
        gate.set()
        eventually_sync(runner._task.done)

    monkeypatch.setattr(Runner, "_give_up", give_up_and_let_it_stop)
    async with running(cancel_grace=0.1) as node:
        await node.agent("a", "block", "where")
        turn_id = await node.submit("a", "block")
        behind = await node.submit("a", "where")
        await eventually(lambda: trouble(node, "a") == "blocked")
        await node.service.services.submission.cancel("a", turn_id, by="test", reason=None)
        assert (await node.ended(turn_id)).status is TurnStatus.CANCELLED
        assert (await node.ended(behind)).output == SECOND


class FakeWorker:
    """Its loop never comes round; ``task`` is the one that runs."""

    def __init__(self) -> None:
        self.task: object = None

    def running_task(self) -> object:
        return self.task

    def soon(self, *callback: object) -> None:
        pass


class TestProbe:
    def test_one_step_that_takes_too_long(self) -> None:
        probe = Probe(cast(Worker, FakeWorker()))
        probe.send()
        looks = [probe.stands(PATIENCE_SECONDS / 4) for _ in range(5)]
        assert (looks, probe.is_back) == ([False, False, False, True, True], False)

    def test_many_steps_are_no_block(self) -> None:
        worker = FakeWorker()
        probe = Probe(cast(Worker, worker))
        probe.send()
        for number in range(100):
            worker.task = number
            assert not probe.stands(PATIENCE_SECONDS / 2)


async def test_a_busy_loop_is_not_blocked() -> None:
    """A round of it takes longer than the patience with one step; no step does."""
    tool()(busy)
    async with running() as node:
        agents = [await node.agent(f"a{number}", "busy") for number in range(40)]
        turns = await asyncio.gather(*(node.submit(name, "busy") for name in agents))
        assert {(await node.ended(turn_id)).output for turn_id in turns} == {FIRST}


async def busy() -> str:
    for _ in range(3):
        time.sleep(0.02)  # noqa: ASYNC251 - it is the point
        await asyncio.sleep(0)
    return threading.current_thread().name


class TestCalls:
    """Of the user's code, from another loop."""

    @pytest.fixture
    async def workers(self) -> AsyncIterator[Workers]:
        workers = Workers(make=lambda name: Worker(name=name))
        workers.start(lambda order: None)
        yield workers
        await workers.stop()

    async def test_what_they_return_and_raise(self, workers: Workers) -> None:
        async def fine() -> str:
            return threading.current_thread().name

        async def exits() -> None:
            raise SystemExit(3)

        assert await workers.call(fine, 2) == "pygents-worker"
        with pytest.raises(SystemExit):
            await workers.call(exits, 2)
        assert await workers.call(fine, 2) == "pygents-worker"

    async def test_one_that_takes_too_long_is_cancelled(self, workers: Workers) -> None:
        cancelled = threading.Event()

        async def hang() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        with pytest.raises(TimeoutError):
            await workers.call(hang, 0.05)
        await eventually(cancelled.is_set)

    async def test_one_that_has_not_begun_is_moved_with_its_context(
        self, workers: Workers, gate: threading.Event
    ) -> None:
        variable.set("mine")

        async def block() -> None:
            gate.wait()

        async def where() -> tuple[str, str]:
            return threading.current_thread().name, variable.get()

        first = workers.current
        blocked, moved = (asyncio.ensure_future(workers.call(each, 5)) for each in (block, where))
        await eventually(lambda: first.running_task() is not None)
        first.block = Block(first.name, None, None, "", 0, first.running_task())
        assert workers.replace()
        with workers.paused() as is_paused:
            assert is_paused
            workers.take_back(first, [])
        assert await moved == ("pygents-worker-2", "mine")
        assert not blocked.done()
        gate.set()
        await blocked
        first.block = None
        workers.end_empty(set())
        await eventually(lambda: not first.is_alive)
        workers.end_empty(set())
        assert workers.all() == (workers.current,)

    async def test_one_that_nobody_waits_for_any_more_does_not_begin(self, workers: Workers) -> None:
        begun: list[bool] = []

        async def begin() -> None:
            begun.append(True)

        call = Call(begin)
        call.abandon()
        workers.put(call)
        await workers.call(_nothing, 2)
        assert not begun

    async def test_there_is_a_bound(self, workers: Workers) -> None:
        assert [workers.replace() for _ in range(MAX_RETIRED + 1)] == [True] * MAX_RETIRED + [False]
        assert not workers.exhausted  # none of them is blocked
        workers.current.block = Block("", None, None, "", 0)
        assert workers.exhausted


async def _nothing() -> None:
    pass


variable: ContextVar[str] = ContextVar("variable", default="none")


def test_an_entry_is_taken_once() -> None:
    entry = Entry()
    assert [entry.take() for _ in range(3)] == [True, False, False]
