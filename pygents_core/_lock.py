"""A lock that any event loop of the process may wait for."""

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import Literal


class _Waiter:
    """One ``acquire`` that waits. ``granted`` is set under the lock's guard, before its loop hears of it."""

    __slots__ = ("future", "granted", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.granted = False

    def wake(self) -> None:
        if not self.future.done():  # else its task was cancelled meanwhile
            self.future.set_result(None)


class ToolLock(asyncio.Lock):
    """First come, first served, across all event loops and threads; in a process there is one per tool.

    ``release`` hands the lock straight to the next waiter, so nobody can overtake. A waiter that is cancelled after it
    was given the lock passes it on; one whose loop was closed is skipped, and one whose loop is blocked can be told to
    ``stand_aside``.
    """

    def __init__(self) -> None:
        super().__init__()
        # Reentrant: a garbage collection inside a guarded section may close an abandoned waiter, which takes it again.
        self._guard = threading.RLock()
        self._held = False
        self._line: deque[_Waiter] = deque()
        # Who was given the lock and has not gone on yet.
        self._given: _Waiter | None = None

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._held

    async def acquire(self) -> Literal[True]:
        """Wait until it is ours. Cancelling the wait leaves the line."""
        with self._guard:
            if not self._held and not self._line:
                self._held = True
                return True
        while not await self._wait():
            pass  # it had to stand aside while its loop was blocked: back to the end of the line
        return True

    def release(self) -> None:
        """Hand it to the next in line, from whatever thread. Raises RuntimeError if nobody holds it."""
        with self._guard:
            if not self._held:
                raise RuntimeError("Lock is not acquired.")
            self._hand_over()

    def stand_aside(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let nobody wait for the waiters of a loop that does not run for now, from whatever thread.

        They leave the line, and pass the lock on if they were given it; once their loop runs they line up again. Who
        holds the lock, and has gone on, keeps it.
        """
        with self._guard:
            aside = [waiter for waiter in self._line if waiter.loop is loop]
            for waiter in aside:
                self._line.remove(waiter)
            if self._given is not None and self._given.loop is loop:
                self._given.granted = False
                self._hand_over()
        for waiter in aside:
            with suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(waiter.wake)

    def __repr__(self) -> str:
        state = "locked" if self._held else "unlocked"
        return f"<ToolLock [{state}, waiters:{len(self._line)}]>"

    async def _wait(self) -> bool:
        """Whether the lock was given to us."""
        waiter = _Waiter(asyncio.get_running_loop())
        self._join(waiter)
        try:
            await waiter.future
        except BaseException:
            self._give_up(waiter)
            raise
        with self._guard:
            if waiter is self._given:
                self._given = None
            return waiter.granted

    def _join(self, waiter: _Waiter) -> None:
        with self._guard:
            self._line.append(waiter)
            if not self._held:  # freed since we looked
                self._hand_over()

    def _give_up(self, waiter: _Waiter) -> None:
        with self._guard:
            if waiter.granted:
                self._hand_over()
            elif waiter in self._line:
                self._line.remove(waiter)

    def _hand_over(self) -> None:
        """Give the lock to the first in line that can still be reached, or to nobody. Needs the guard."""
        self._given = None
        while self._line:
            waiter = self._line.popleft()
            try:
                waiter.loop.call_soon_threadsafe(waiter.wake)
            except RuntimeError:  # its loop is closed
                continue
            waiter.granted = self._held = True
            self._given = waiter
            return
        self._held = False
