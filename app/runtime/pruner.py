"""Removes what no client can reach any more: rows of deleted agents, in slices, with pauses for other writes."""

import asyncio
import logging
from contextlib import suppress

from ..clock import Clock
from ..ports import Store

log = logging.getLogger("pygents.pruner")

LOOK_SECONDS = 15.0
GRACE_SECONDS = 60.0
"""A deleted agent's rows stay so long: streams that are behind shall come to the end of its log."""
SLICE_ROWS = 500
PAUSE_SECONDS = 0.05


class Pruner:
    """Lives on the loop that calls ``start``, until ``stop``."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_pruning(), name="pruner")

    async def stop(self) -> None:
        """Safe without ``start``."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_pruning(self) -> None:
        while True:
            try:
                await self.prune()
            except Exception as error:
                log.warning("pruning failed, it is tried again: %r", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def prune(self) -> None:
        """Remove all that may go now."""
        deleted_before = self._clock() - round(GRACE_SECONDS * 1_000_000)
        while await self._store.purge(deleted_before, SLICE_ROWS):  # noqa: ASYNC110 - not a wait: each step removes some
            await asyncio.sleep(PAUSE_SECONDS)
