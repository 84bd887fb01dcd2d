"""A thread with the event loop that runs tools, apart from the loop that serves HTTP.

Work reaches it through an inbox that belongs to its owner plus a wake-up, never as payload pushed into the loop, so
that what has not been taken yet can be given to another worker.
"""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any, NamedTuple

import uvloop

from pygents_core.loops import close_loop_locals

from .turn_tasks import make_task

log = logging.getLogger("pygents.worker")

JOIN_SECONDS = 1.0
"""How long the end of a worker may take; then its thread is left to end with the process."""
STACK_FRAMES = 50


class Block(NamedTuple):
    """Code that does not give its event loop back. ``agent``, ``turn_id`` and ``attempt`` are None if it is no turn's.

    ``since`` in microseconds since the epoch; ``stack`` as in a traceback, the innermost frame last.
    """

    worker: str
    agent: str | None
    turn_id: str | None
    stack: str
    since: int
    task: "asyncio.Task[Any] | None" = None
    attempt: int | None = None


class Worker:
    """After ``start(take)``, each ``wake`` calls ``take`` on the loop; wake-ups that come before it has run are one.

    ``block`` is set by whoever watches it.
    """

    def __init__(self, *, name: str) -> None:
        self.name = name
        self.block: Block | None = None
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.loop.set_task_factory(make_task)
        # Wake-ups come from anywhere, be it from a turn's code: what is begun then is not begun in its context.
        self._context = Context()
        self._take: Callable[[], None] = lambda: None
        self._woken = False
        self.stopping = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    # --- any thread --------------------------------------------------------------------------------------------------

    def start(self, take: Callable[[], None]) -> None:
        self._take = take
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def wake(self) -> None:
        """Does nothing once the worker has stopped."""
        if not self._woken:
            self._woken = True
            self.soon(self._taken)

    def soon(self, callback: Callable[..., object], *args: object) -> None:
        """Call it on the loop, if that is not closed."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback, *args, context=self._context)

    def running_task(self) -> "asyncio.Task[Any] | None":
        """Whose step the loop is in right now."""
        return asyncio.current_task(self.loop)

    def stack(self) -> str:
        """Where its thread is right now, from the loop's step on."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        if frame is None:
            return ""
        frames = traceback.extract_stack(frame)
        ours = max((index for index, each in enumerate(frames) if each.filename == __file__), default=-1)
        return "".join(traceback.format_list(frames[ours + 1 :][-STACK_FRAMES:]))

    def retire(self) -> None:
        """Let the thread end once the loop comes round; what still runs there is cancelled."""
        self.stopping = True
        self.soon(self.loop.stop)

    async def stop(self) -> None:
        """Cancel what still runs there and end the thread. Code that does not stop is left behind with the process."""
        self.retire()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, JOIN_SECONDS)
        elif not self.loop.is_closed():
            self.loop.close()

    # --- on the worker's thread --------------------------------------------------------------------------------------

    def _taken(self) -> None:
        self._woken = False
        self._take()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self.stopping:
            try:
                self.loop.run_forever()
            except BaseException:
                # A SystemExit or KeyboardInterrupt in a task that a tool has started leaves the loop; the loop goes on.
                log.exception("a tool's task tried to end the process")
        self._close()

    def _close(self) -> None:
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        try:
            stubborn = self.loop.run_until_complete(asyncio.wait(left, timeout=JOIN_SECONDS / 2))[1] if left else ()
            self.loop.run_until_complete(asyncio.wait_for(close_loop_locals(), JOIN_SECONDS / 4))
            if not stubborn:
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        except BaseException:
            log.exception("a tool's task did not end cleanly")
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
