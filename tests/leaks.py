"""What a test may leave behind: no thread, no open file or socket, no asyncio task."""

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.helpers import eventually_sync

# Linux; elsewhere descriptors are not looked at.
DESCRIPTORS = "/proc/self/fd"
# Threads end and sockets close a moment after they were told to.
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Holdings:
    """What this process holds: its threads, and its descriptors as (number, what it is open on)."""

    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, str]]

    def beyond(self, earlier: "Holdings") -> list[str]:
        """Describe what is held now and was not held ``earlier``."""
        threads = (f"thread {thread.name}" for thread in self.threads - earlier.threads)
        return sorted([*threads, *(f"descriptor {n} on {to}" for n, to in self.descriptors - earlier.descriptors)])


def holdings() -> Holdings:
    return Holdings(frozenset(threading.enumerate()), frozenset(_descriptors()))


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail if the block leaves threads or descriptors behind that do not go away within ``SETTLE_SECONDS``."""
    before = holdings()
    yield
    if holdings().beyond(before):
        gc.collect()  # what lies in a reference cycle is not lost, only not collected yet
        settled = _settles(before)
        assert settled, f"left behind: {', '.join(holdings().beyond(before))}"


async def tasks_beyond(earlier: set["asyncio.Task[object]"]) -> list[str]:
    """Name the tasks of this loop that are neither in ``earlier`` nor the test runner's, once they had time to end."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while left := {task for task in asyncio.all_tasks() - earlier if not _is_runners(task)}:
        if asyncio.get_running_loop().time() > deadline:
            return sorted(f"task {task.get_name()}: {task.get_coro()!r}" for task in left)
        await asyncio.sleep(0.005)
    return []


def _is_runners(task: "asyncio.Task[object]") -> bool:
    """Whether this is the task in which anyio's plugin waits for the test, or for a fixture, that runs now."""
    return task is asyncio.current_task() or "TestRunner." in getattr(task.get_coro(), "__qualname__", "")


def _settles(before: Holdings) -> bool:
    try:
        return eventually_sync(lambda: not holdings().beyond(before), timeout=SETTLE_SECONDS)
    except AssertionError:
        return False


def _descriptors() -> Iterator[tuple[int, str]]:
    if not os.path.isdir(DESCRIPTORS):
        return
    for number in os.listdir(DESCRIPTORS):
        try:
            yield int(number), os.readlink(f"{DESCRIPTORS}/{number}")
        except OSError:  # the one that listed the folder
            continue
