"""The worker that takes what is to be done, and those that it has replaced and that have not ended yet.

What is to be done lies in one inbox for all of them. A worker whose loop is blocked is replaced: it takes nothing more,
what it had not begun goes back to the inbox, and it ends when it is empty.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from ..model import Begun
from .calls import Call
from .orders import Assignment, Order
from .worker import Block, Worker

log = logging.getLogger("pygents.worker")

T = TypeVar("T")

MAX_RETIRED = 4
"""Replaced workers that have not ended. Each is a thread; code that keeps blocking must not make ever more of them."""
PAUSE_SECONDS = 0.05
"""How long to wait for a worker that is just taking. It runs no code of users then, but perhaps their finalizers."""


class Workers:
    """``make`` makes a worker of that name, which is not started yet."""

    def __init__(self, *, make: Callable[[str], Worker]) -> None:
        self._make = make
        self._made = 1
        self.current = make("pygents-worker")
        self.retired: tuple[Worker, ...] = ()
        self._inbox: deque[Order | Call[Any]] = deque()
        self._calls: set[Call[Any]] = set()
        self._taking = threading.Lock()
        self._execute: Callable[[Order], None] = lambda order: None

    # --- any thread --------------------------------------------------------------------------------------------------

    def start(self, execute: Callable[[Order], None]) -> None:
        """``execute`` is called with each order on the loop of the worker that takes it."""
        self._execute = execute
        self._start(self.current)

    async def stop(self) -> None:
        """End all of them. Code that does not stop is left behind with the process."""
        await asyncio.gather(*(worker.stop() for worker in self.all()))

    def put(self, *orders: Order | Call[Any]) -> None:
        self._inbox.extend(orders)
        self.current.wake()

    async def call(self, function: Callable[[], Coroutine[Any, Any, T]], limit: float) -> T:
        """Await ``function()`` where tools run. TimeoutError after ``limit`` seconds, even if that loop is blocked."""
        call = Call(function)
        self._calls.add(call)
        try:
            async with asyncio.timeout(limit):
                self.put(call)
                return await asyncio.wrap_future(call.answer)
        finally:
            self._calls.discard(call)
            if not call.answer.done() or call.answer.cancelled():
                call.abandon()

    def all(self) -> tuple[Worker, ...]:
        return (*self.retired, self.current)

    def waiting(self) -> tuple[Order, ...]:
        """The orders that nobody has taken yet."""
        return tuple(order for order in tuple(self._inbox) if not isinstance(order, Call))

    def withdraw(self) -> list[Begun]:
        """The begun turns that nobody has taken yet: nobody will."""
        with self.paused() as is_paused:
            orders = [order for order in self._inbox if isinstance(order, Assignment)] if is_paused else []
            for order in orders:
                self._inbox.remove(order)
        return [order.begun for order in orders if order.begun is not None]

    @property
    def depth(self) -> int:
        """How much nobody has taken yet."""
        return len(self._inbox)

    def blocks(self) -> tuple[Block, ...]:
        """Which code blocks a loop right now."""
        return tuple(worker.block for worker in self.all() if worker.block is not None)

    def is_blocked(self, loop: asyncio.AbstractEventLoop) -> bool:
        return any(worker.block is not None and worker.loop is loop for worker in self.all())

    @property
    def exhausted(self) -> bool:
        """Whether as many workers are blocked as there may be, so that the next that blocks stops all tools."""
        if len(self.retired) < MAX_RETIRED:
            return False
        return self.current.block is not None or all(worker.block is not None for worker in self.retired)

    # --- of the watchdog ---------------------------------------------------------------------------------------------

    @contextmanager
    def paused(self) -> Iterator[bool]:
        """Nobody takes anything inside. False if that could not be had."""
        got = self._taking.acquire(timeout=PAUSE_SECONDS)
        try:
            yield got
        finally:
            if got:
                self._taking.release()

    def replace(self) -> bool:
        """Put a fresh worker in place of the one that takes; False if there are as many others as there may be."""
        if len(self.retired) >= MAX_RETIRED:
            return False
        self._made += 1
        old, fresh = self.current, self._make(f"pygents-worker-{self._made}")
        self.retired, self.current = (*self.retired, old), fresh
        self._start(fresh)
        fresh.wake()
        log.warning("%s takes the place of %s", fresh.name, old.name)
        return True

    def take_back(self, worker: Worker, orders: Sequence[Order]) -> None:
        """Let the current worker have these, and the calls that ``worker`` has not begun. Call it while ``paused``."""
        moved = [*orders, *(call for call in tuple(self._calls) if call.loop is worker.loop and call.leave())]
        self._inbox.extendleft(reversed(moved))
        if moved:
            self.current.wake()

    def end_empty(self, used: Collection[asyncio.AbstractEventLoop]) -> None:
        """Retired workers that are not blocked any more and on whose loops nothing runs may end."""
        calling = {call.loop for call in tuple(self._calls)}
        for worker in self.retired:
            if worker.block is None and worker.loop not in used and worker.loop not in calling and not worker.stopping:
                log.info("%s has nothing to do any more", worker.name)
                worker.retire()
        self.retired = tuple(worker for worker in self.retired if worker.is_alive)

    # --- on the workers' loops ---------------------------------------------------------------------------------------

    def _start(self, worker: Worker) -> None:
        worker.start(partial(self._take, worker))

    def _take(self, worker: Worker) -> None:
        with self._taking:
            while self._inbox and worker is self.current:
                match self._inbox.popleft():
                    case Call() as call:
                        call.start()
                    case order:
                        self._execute(order)
