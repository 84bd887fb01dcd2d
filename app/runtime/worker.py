"""A thread with the event loop that runs tools, apart from the loop that serves HTTP.

Work reaches it through an inbox that belongs to its owner plus a wake-up, never as payload pushed into the loop, so
that what has not been taken yet can be given to another worker.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

log = logging.getLogger("pygents.worker")

T = TypeVar("T")

JOIN_SECONDS = 1.0
"""How long the end of a worker may take; then its thread is left to end with the process."""


class Worker:
    """After ``start(take)``, each ``wake`` calls ``take`` on the loop; wake-ups that come before it has run are one."""

    def __init__(self, *, name: str) -> None:
        self._take: Callable[[], None] = lambda: None
        self._woken = False
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self, take: Callable[[], None]) -> None:
        self._take = take
        self._thread.start()

    def wake(self) -> None:
        """From any thread; does nothing once the worker has stopped."""
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._taken)
            except RuntimeError:
                log.debug("the worker has stopped")

    async def call(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await ``function()`` on the worker's loop, from a coroutine of another loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(), self._loop))

    async def stop(self) -> None:
        """Cancel what still runs there and end the thread. Code that does not stop is left behind with the process."""
        self._stopping = True
        if not self._thread.is_alive():
            self._loop.close()
            return
        try:
            self._loop.call_soon_threadsafe(self._loop.stop)
        except RuntimeError:
            return
        await asyncio.to_thread(self._thread.join, JOIN_SECONDS)

    # --- on the worker's thread --------------------------------------------------------------------------------------

    def _taken(self) -> None:
        self._woken = False
        self._take()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._stopping:
            try:
                self._loop.run_forever()
            except BaseException:
                # A SystemExit or KeyboardInterrupt in a task that a tool has started leaves the loop; the loop goes on.
                log.exception("a tool's task tried to end the process")
        self._close()

    def _close(self) -> None:
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        try:
            stubborn = self._loop.run_until_complete(asyncio.wait(left, timeout=JOIN_SECONDS / 2))[1] if left else ()
            if not stubborn:
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        except BaseException:
            log.exception("a tool's task did not end cleanly")
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()
