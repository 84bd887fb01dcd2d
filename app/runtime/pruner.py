"""Removes what need not be kept: rows of deleted agents and old events, in slices, with pauses for other writes.

Three ways to find logs that have become too long or too old, none of which looks at every agent each time: commits tell
of logs that grow, the oldest events of all lie at the beginning of their table, and a rare sweep finds the rest.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from ..clock import Clock
from ..commands import Prune, Pruned
from ..errors import AgentNotFound, ServiceError
from ..ports import Notice, Store
from .damages import Damages

log = logging.getLogger("pygents.pruner")

LOOK_SECONDS = 15.0
SWEEP_SECONDS = 3600.0
SWEEP_PAGE = 1000
GRACE_SECONDS = 60.0
"""A deleted agent's rows stay so long: streams that are behind shall come to the end of its log."""
TURN_SECONDS = 24 * 3600.0
"""Ended turns and idempotency records are kept at least so long, also without events."""
SLICE_ROWS = 500
PAUSE = 2.0
"""Times as long as a slice took: at most a third of what the store can write is spent on removing."""
STEPS = 10
"""A log is looked at each time it has grown by one part in so many of what is kept."""
MICROSECONDS = 1_000_000


class Retention(NamedTuple):
    """What is kept of each log: the last ``events``, none older than ``age`` seconds."""

    events: int
    age: float


class Pruner:
    """Lives on the loop that calls ``start``, until ``stop``."""

    def __init__(self, *, store: Store, clock: Clock, retention: Retention, damages: Damages) -> None:
        self._store, self._clock, self._retention, self._damages = store, clock, retention, damages
        self._step = min(SLICE_ROWS, max(1, retention.events // STEPS))
        self._grown: deque[str] = deque()
        self._pinned: set[str] = set()
        self._silence: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._silence = self._store.listen(self._hear)
        self._task = self._loop.create_task(self._keep_pruning(), name="pruner")

    async def stop(self) -> None:
        """Safe without ``start``."""
        self._silence()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _hear(self, notice: Notice) -> None:
        """On the store's thread."""
        grown = [event.agent for event in notice.events if not event.seq % self._step]
        grown += [turn.spec.agent for turn in notice.ended if turn.spec.agent in self._pinned]
        if grown and self._loop is not None:
            self._grown.extend(grown)
            with suppress(RuntimeError):  # the loop is closed: the process is ending
                self._loop.call_soon_threadsafe(self._nudged.set)

    async def _keep_pruning(self) -> None:
        swept: float | None = None
        while True:
            self._nudged.clear()  # first: what is told from here on is for the next time
            try:
                await self.prune()
                if swept is None or monotonic() - swept >= SWEEP_SECONDS:
                    await self.sweep()
                    swept = monotonic()
            except ServiceError as error:
                log.warning("pruning failed, it is tried again: %s", error)
            except Exception:
                log.exception("pruning failed, it is tried again")
            with suppress(TimeoutError):  # no wait_for: up to Python 3.11 it may swallow a cancellation
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._nudged.wait()

    async def prune(self) -> None:
        """Remove what is known to be removable now."""
        deleted_before = self._clock() - round(GRACE_SECONDS * MICROSECONDS)
        while await _timed(self._store.purge(deleted_before, SLICE_ROWS)):
            pass
        await self._prune_all(self._hints())
        await self._prune_old()

    async def sweep(self) -> None:
        """Look at all agents: hints may have been lost, turns outlive their events and go later."""
        after = ""
        while names := await self._store.prunable_agents(self._retention.events, SWEEP_PAGE, after):
            await self._prune_all(names)
            after = names[-1]

    async def _prune_old(self) -> None:
        after: int | None = 0
        while after is not None:
            now = self._clock()
            found = await self._store.old_logs(now - self._age(), now, after)
            await self._prune_all(found.agents)
            after = found.next

    async def _prune_all(self, names: Iterable[str]) -> None:
        """In turn, a slice of each, until nothing is left; of a log that grows as fast as it is cut, not for ever."""
        left = deque(dict.fromkeys(names))
        until = monotonic() + LOOK_SECONDS
        while left and monotonic() < until:
            name = left.popleft()
            if await _timed(self._slice(name)) >= SLICE_ROWS // 2:
                left.append(name)
        self._grown.extend(left)

    async def _slice(self, name: str) -> int:
        if name in self._damages:
            return 0
        now = self._clock()
        self._pinned.add(name)  # first: the turn may end before this task hears that it is in the way
        ended_before = now - round(TURN_SECONDS * MICROSECONDS)
        prune = Prune(name, self._retention.events, now - self._age(), ended_before, SLICE_ROWS)
        pruned = Pruned(0)
        with self._damages.outlived(name), suppress(AgentNotFound):
            pruned = await self._store.execute(prune)
        if not pruned.pinned:
            self._pinned.discard(name)
        return pruned.rows

    def _hints(self) -> list[str]:
        return [self._grown.popleft() for _ in range(len(self._grown))]

    def _age(self) -> int:
        return round(self._retention.age * MICROSECONDS)


async def _timed(slice_: Awaitable[int]) -> int:
    """How many rows the slice has removed, after a pause that leaves the store to others."""
    began = monotonic()
    removed = await slice_
    await asyncio.sleep(PAUSE * (monotonic() - began))
    return removed
