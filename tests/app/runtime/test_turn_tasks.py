"""Tasks that a tool starts and leaves: they end with the turn, and with no other."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from pygents_app.model import TurnStatus
from pygents_app.runtime.requests import TurnRequest
from pygents_app.runtime.turn_tasks import TurnTasks
from pygents_core import WorkingMemory, current_turn, loop_local, tool
from tests.app.runtime.node import Node, running
from tests.helpers import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("registries")]


class Left:
    """Starts tasks and keeps them, as careless code does; notes how they end."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.ended: list[str] = []
        self.gate = threading.Event()

    def start(self, name: str) -> None:
        self.tasks.append(asyncio.create_task(self._wait(name)))

    def start_stubborn(self) -> None:
        self.tasks.append(asyncio.create_task(self._resist()))

    async def _wait(self, name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(name)

    async def _resist(self) -> None:
        while not self.gate.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.005)


@pytest.fixture
def left() -> Left:
    return Left()


@pytest.mark.parametrize("how", ["completed", "error", "cancelled", "timeout"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_they_end_before_the_turn_does(left: Left, how: str, streaming: bool) -> None:
    async def leave() -> str:
        left.start("left")
        await asyncio.sleep(0)
        if how == "error":
            raise ValueError("on purpose")
        if how != "completed":
            await asyncio.Event().wait()
        return "done"

    async def leave_values() -> AsyncIterator[str]:
        yield "first"
        yield await leave()

    name = "leave_values" if streaming else "leave"
    tool()(leave_values if streaming else leave)
    async with running() as node:
        await node.agent("a", name)
        timeout = 0.1 if how == "timeout" else 60
        accepted = await node.service.services.submission.submit("a", [TurnRequest(name, [], {}, timeout=timeout)])
        turn_id = accepted.turns[0].turn.id
        if how == "cancelled":
            await eventually(lambda: left.tasks)
            await node.service.services.submission.cancel("a", turn_id, by="test", reason=None)
        assert (await node.ended(turn_id)).status.value == how
        assert left.ended == ["left"]


async def test_tasks_that_the_tool_waits_for_are_left_alone() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0.001)
        return number

    async def together() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(number)) for number in range(3)]
        return [*(task.result() for task in tasks), *await asyncio.gather(work(3), work(4))]

    tool()(together)
    async with running() as node:
        await node.agent("a", "together")
        assert (await node.do("a", "together")).output == b"[0,1,2,3,4]"


async def test_those_of_other_turns_go_on(left: Left) -> None:
    async def leave(name: str, wait: bool) -> str:
        left.start(name)
        await asyncio.sleep(0)  # its first step: a task that is cancelled before it never runs
        while wait and not left.gate.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return name

    tool()(leave)
    async with running() as node:
        for name in "ab":
            await node.agent(name, "leave")
        long = await node.submit("a", "leave", "long", True)
        await eventually(lambda: left.tasks)
        await node.do("b", "leave", "short", False)
        assert left.ended == ["short"]
        left.gate.set()
        await node.ended(long)
        assert left.ended == ["short", "long"]


async def test_what_they_start_while_they_end(left: Left) -> None:
    async def again() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.start("by the first")

    async def leave() -> None:
        left.tasks.append(asyncio.create_task(again()))
        await asyncio.sleep(0)

    tool()(leave)
    async with running() as node:
        await node.agent("a", "leave")
        await node.do("a", "leave")
        assert all(task.done() for task in left.tasks)
        assert len(left.tasks) == 2


async def test_what_a_timer_of_the_turn_starts_later(left: Left) -> None:
    async def leave() -> str:
        asyncio.get_running_loop().call_later(0.05, left.start_stubborn)
        return current_turn().id or ""

    tool()(leave)
    async with running() as node:
        await node.agent("a", "leave")
        left.gate.set()
        assert (await node.do("a", "leave")).status is TurnStatus.COMPLETED
        await eventually(lambda: left.tasks and left.tasks[0].done())


async def test_what_a_client_of_the_loop_starts_goes_on(left: Left) -> None:
    class Client:
        def __init__(self) -> None:
            left.start("of the client")

    client = loop_local(Client)

    async def use() -> int:
        client()
        return len(left.tasks)

    tool()(use)
    async with running() as node:
        await node.agent("a", "use")
        assert [(await node.do("a", "use")).output for _ in range(2)] == [b"1", b"1"]
        assert left.ended == []
    assert left.ended == ["of the client"]


@pytest.fixture
async def stubborn(left: Left) -> AsyncIterator[Node]:
    """A node with a tool whose task does not stop when it is told to, and with one that tells its memory."""

    async def leave(memory: WorkingMemory) -> str:
        memory.append("kept")
        left.start_stubborn()
        await asyncio.sleep(0)
        return "done"

    async def remembered(memory: WorkingMemory) -> list[object]:
        return memory.items

    tool()(leave)
    tool()(remembered)
    async with running(cancel_grace=0.1) as node:
        await node.agent("a", "leave", "remembered")
        yield node
        left.gate.set()


async def test_one_that_does_not_stop_keeps_the_agent(left: Left, stubborn: Node) -> None:
    """The turn ends as what it was, after the grace; the next one waits, because code of this one still runs."""
    turn = await stubborn.do("a", "leave")
    assert (turn.status, turn.output) == (TurnStatus.COMPLETED, b'"done"')
    assert stubborn.service.services.dispatcher.trouble("a") == "stuck"
    behind = await stubborn.submit("a", "remembered")
    placed = await stubborn.service.services.store.get_turn(behind)
    assert placed is not None
    assert placed.turn.status is TurnStatus.QUEUED
    left.gate.set()
    assert (await stubborn.ended(behind)).output == b'["kept"]'
    assert stubborn.service.services.dispatcher.trouble("a") is None


async def test_a_cancel_while_they_are_waited_for(left: Left, stubborn: Node) -> None:
    turn_id = await stubborn.submit("a", "leave")
    await eventually(lambda: left.tasks)
    await stubborn.service.services.submission.cancel("a", turn_id, by="test", reason=None)
    assert (await stubborn.ended(turn_id)).status is TurnStatus.CANCELLED
    left.gate.set()
    assert (await stubborn.do("a", "remembered")).output == b"[]"


async def test_one_that_is_started_after_the_end_is_cancelled() -> None:
    tasks = TurnTasks()
    await tasks.end()
    late = asyncio.ensure_future(asyncio.Event().wait())
    tasks.add(late)
    await eventually(late.done)
    assert late.cancelled()
    assert not tasks
