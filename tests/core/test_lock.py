"""ToolLock: one holder, first come first served, across event loops; nothing a waiter does can lose it."""

import asyncio
import random
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygents_core._lock import ToolLock
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

T = TypeVar("T")


async def test_is_an_asyncio_lock() -> None:
    lock = ToolLock()
    assert isinstance(lock, asyncio.Lock)
    assert not lock.locked()
    async with lock:
        assert lock.locked()
        assert repr(lock) == "<ToolLock [locked, waiters:0]>"
    assert repr(lock) == "<ToolLock [unlocked, waiters:0]>"


async def test_release_of_a_free_one() -> None:
    with pytest.raises(RuntimeError, match="not acquired"):
        ToolLock().release()


async def test_first_come_first_served() -> None:
    lock, order = ToolLock(), list[int]()

    async def enter(number: int) -> None:
        async with lock:
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(enter(number) for number in range(10)))
    assert order == list(range(10))


async def test_nobody_overtakes_who_was_handed_the_lock() -> None:
    lock, order = ToolLock(), list[str]()

    async def enter(name: str) -> None:
        async with lock:
            order.append(name)

    await lock.acquire()
    waiter = asyncio.create_task(enter("waiter"))
    await eventually(lambda: "waiters:1" in repr(lock))
    lock.release()
    await enter("late")
    await waiter
    assert order == ["waiter", "late"]


async def test_a_cancelled_waiter_leaves_the_line() -> None:
    lock = ToolLock()
    await lock.acquire()
    first, second = asyncio.create_task(lock.acquire()), asyncio.create_task(lock.acquire())
    await eventually(lambda: "waiters:2" in repr(lock))
    first.cancel()
    await asyncio.wait([first])
    lock.release()
    assert await second
    assert first.cancelled()
    lock.release()
    assert not lock.locked()


async def test_a_waiter_cancelled_after_it_was_given_the_lock_passes_it_on() -> None:
    lock = ToolLock()
    await lock.acquire()
    first, second = asyncio.create_task(lock.acquire()), asyncio.create_task(lock.acquire())
    await eventually(lambda: "waiters:2" in repr(lock))
    lock.release()
    first.cancel()  # granted by now, but its task has not run
    assert await second
    assert first.cancelled()
    lock.release()
    assert not lock.locked()


def test_a_waiter_whose_loop_is_closed_is_skipped() -> None:
    lock = ToolLock()
    gone = asyncio.new_event_loop()
    asyncio.run(lock.acquire())
    waiter = lock.acquire()
    gone.run_until_complete(_start(waiter))
    gone.close()
    lock.release()
    assert not lock.locked()
    waiter.close()
    assert repr(lock) == "<ToolLock [unlocked, waiters:0]>"


def test_a_waiter_thrown_away_after_it_was_given_the_lock_passes_it_on() -> None:
    lock = ToolLock()
    gone = asyncio.new_event_loop()
    asyncio.run(lock.acquire())
    waiter = lock.acquire()
    gone.run_until_complete(_start(waiter))
    lock.release()
    assert lock.locked()
    waiter.close()
    gone.close()
    assert not lock.locked()


async def _start(waiter: Coroutine[Any, Any, Any]) -> None:
    waiter.send(None)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), cancelled=st.floats(0, 0.9))
def test_two_threads_and_random_cancellations(seed: int, cancelled: float) -> None:
    lock = ToolLock()
    inside: list[int] = []
    most = 0

    async def enter(number: int, chance: random.Random) -> None:
        nonlocal most
        async with lock:
            inside.append(number)
            most = max(most, len(inside))
            try:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            finally:
                inside.remove(number)

    async def crowd(chance: random.Random) -> None:
        tasks = [asyncio.create_task(enter(number, chance)) for number in range(15)]
        for task in tasks:
            if chance.random() < cancelled:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=30)

    threads = [
        threading.Thread(target=lambda number: asyncio.run(crowd(random.Random(seed + number))), args=(number,))
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 1
    assert repr(lock) == "<ToolLock [unlocked, waiters:0]>"


class Elsewhere:
    """A loop on a thread of its own that can be blocked."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._gate = threading.Event()

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def block(self) -> None:
        blocked = threading.Event()

        def wait() -> None:
            blocked.set()
            self._gate.wait()

        self.loop.call_soon_threadsafe(wait)
        blocked.wait()

    def unblock(self) -> None:
        self._gate.set()

    def close(self) -> None:
        self._gate.set()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.close()


async def test_nobody_waits_for_a_waiter_whose_loop_is_blocked(elsewhere: Elsewhere) -> None:
    lock = ToolLock()
    await lock.acquire()
    there = elsewhere.start(lock.acquire())
    await eventually(lambda: "waiters:1" in repr(lock))
    elsewhere.block()
    lock.stand_aside(elsewhere.loop)
    lock.release()
    async with asyncio.timeout(2):
        await lock.acquire()
    elsewhere.unblock()
    await eventually(lambda: "waiters:1" in repr(lock))  # it has lined up again
    assert not there.done()
    lock.release()
    assert await asyncio.wrap_future(there)
    lock.release()
    assert not lock.locked()


async def test_a_blocked_waiter_that_was_given_the_lock_passes_it_on(elsewhere: Elsewhere) -> None:
    lock = ToolLock()
    await lock.acquire()
    there = elsewhere.start(lock.acquire())
    await eventually(lambda: "waiters:1" in repr(lock))
    elsewhere.block()
    lock.release()  # it is the blocked one's now, and it does not know
    assert lock.locked()
    lock.stand_aside(elsewhere.loop)
    assert not lock.locked()
    async with asyncio.timeout(2):
        await lock.acquire()
    elsewhere.unblock()
    await eventually(lambda: "waiters:1" in repr(lock))
    assert not there.done()
    lock.release()
    assert await asyncio.wrap_future(there)
    lock.release()


async def test_a_blocked_holder_keeps_the_lock(elsewhere: Elsewhere) -> None:
    lock = ToolLock()
    await asyncio.wrap_future(elsewhere.start(lock.acquire()))
    elsewhere.block()
    lock.stand_aside(elsewhere.loop)
    assert lock.locked()
    waiting = asyncio.create_task(lock.acquire())
    await eventually(lambda: "waiters:1" in repr(lock))
    assert not waiting.done()
    lock.release()
    assert await waiting
    lock.release()


async def test_a_waiter_cancelled_while_it_stands_aside(elsewhere: Elsewhere) -> None:
    lock = ToolLock()
    await lock.acquire()
    there = elsewhere.start(lock.acquire())
    await eventually(lambda: "waiters:1" in repr(lock))
    elsewhere.block()
    lock.stand_aside(elsewhere.loop)
    there.cancel()
    elsewhere.unblock()
    await asyncio.wrap_future(elsewhere.start(asyncio.sleep(0.01)))
    assert repr(lock) == "<ToolLock [locked, waiters:0]>"
    lock.release()
    assert not lock.locked()
