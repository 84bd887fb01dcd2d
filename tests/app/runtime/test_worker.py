"""The thread that runs tools: wake-ups are not lost, nothing that a task raises ends it, and stopping does."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest
import uvloop

from pygents_app.runtime.worker import Worker
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

T = TypeVar("T")

# libuv opens a pipe for signals with the first loop of a process and never closes it: no leak of the first test.
uvloop.new_event_loop().close()


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker(name="test-worker")
    yield worker
    await worker.stop()


async def on(worker: Worker, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await ``function()`` on its loop."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(), worker.loop))


async def test_every_wake_up_is_followed_by_a_take(worker: Worker) -> None:
    inbox, taken = list[int](), list[int]()

    def take() -> None:
        taken.extend(inbox[len(taken) :])

    worker.start(take)

    def put(first: int) -> None:
        for number in range(first, first + 500):
            inbox.append(number)
            worker.wake()

    threads = [threading.Thread(target=put, args=[first]) for first in (0, 1000)]
    for thread in threads:
        thread.start()
    await eventually(lambda: len(taken) == 1000)
    for thread in threads:
        thread.join()
    assert taken == inbox


async def test_calls_run_on_its_thread(worker: Worker) -> None:
    worker.start(lambda: None)

    async def where() -> str:
        return threading.current_thread().name

    assert await on(worker, where) == "test-worker"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
async def test_a_task_that_tries_to_end_the_process(worker: Worker, error: BaseException) -> None:
    worker.start(lambda: None)

    async def explode() -> None:
        raise error

    async def leave_it_behind() -> None:
        left.append(asyncio.get_running_loop().create_task(explode()))

    async def alive() -> bool:
        return left[0].done() and left[0].exception() is error

    left: list[asyncio.Task[None]] = []
    await on(worker, leave_it_behind)
    assert await eventually(lambda: on(worker, alive))


async def test_stopping_cancels_what_still_runs() -> None:
    worker, cancelled = Worker(name="test-worker"), threading.Event()
    worker.start(lambda: None)

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def begin() -> None:
        left.append(asyncio.get_running_loop().create_task(hang()))
        await asyncio.sleep(0)

    left: list[asyncio.Task[None]] = []
    await on(worker, begin)
    await worker.stop()
    assert cancelled.is_set()
    worker.wake()  # does nothing
    await worker.stop()


async def test_one_that_never_started() -> None:
    await Worker(name="test-worker").stop()
