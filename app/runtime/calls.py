"""A piece of the user's code that somebody on another loop waits for: it runs where tools run."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from .entry import Entry

T = TypeVar("T")


class Call(Generic[T]):
    """Awaits ``function()`` on the loop that starts it, in the context of whoever made the call."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._function, self._context = function, copy_context()
        self._entry = Entry()
        self._abandoned = False
        self.task: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.answer: Future[T] = Future()

    def start(self) -> None:
        """On the worker's loop."""
        self._entry = Entry()
        self.loop = asyncio.get_running_loop()
        self.task = self.loop.create_task(self._run(self._entry), name="call", context=self._context.copy())

    def leave(self) -> bool:
        """From any thread: whether it has not begun. It never will where it was started, and may be started again."""
        return self._entry.take()

    def abandon(self) -> None:
        """From any thread: nobody waits for the answer."""
        self._abandoned = True
        if self.loop is not None and self.task is not None:
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self.task.cancel)

    async def _run(self, entry: Entry) -> None:
        if self._abandoned or not entry.take() or not self.answer.set_running_or_notify_cancel():
            return
        try:
            value = await self._function()
        except BaseException as error:  # a SystemExit that left the task would leave the worker's loop, too
            self.answer.set_exception(error)
        else:
            self.answer.set_result(value)
