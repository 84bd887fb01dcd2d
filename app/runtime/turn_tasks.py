"""The asyncio tasks that a turn's code starts: they are its code, too, and end with it.

Known by the context in which a task is made. Threads and processes that a tool starts cannot be ended from outside.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from typing import Any


class TurnTasks:
    """What one turn's code has started and what has not ended. Lives on the loop that runs the turn."""

    __slots__ = ("_is_over", "_running")

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._is_over = False

    def __bool__(self) -> bool:
        return bool(self._running)

    def __contains__(self, task: object) -> bool:
        return task in self._running

    def names(self) -> list[str]:
        return [task.get_name() for task in tuple(self._running)]

    def enter(self) -> None:
        """Whatever the current context starts from here on is this turn's."""
        _started.set(self)

    def add(self, task: "asyncio.Task[Any]") -> None:
        """A task that is started when the turn is over, by a timer or a thread that it left, is cancelled at once."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if self._is_over:
            task.cancel()

    async def end(self) -> None:
        """Tell them to stop and wait until they have, be it for ever. The caller's cancellation does not end that."""
        self._is_over = True
        told: set[asyncio.Task[Any]] = set()
        while self._running:
            for task in self._running - told:
                task.cancel()
            told |= self._running
            try:
                await asyncio.wait(self._running)
            except asyncio.CancelledError:
                continue


_started: ContextVar[TurnTasks | None] = ContextVar("turn_tasks", default=None)


def make_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    **options: Any,
) -> "asyncio.Task[Any]":
    """The task factory of the loops that run tools."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    tasks = _started.get()
    if tasks is not None:
        tasks.add(task)
    return task
