"""Turns and retries that wait for their time: lets them join and begin when it has come."""

import math
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from time import monotonic

from ..clock import Clock
from ..commands import Promote, Starter
from ..errors import AgentNotFound
from ..ports import Store
from .damages import Damages

STEP_SECONDS = 1.0
"""A clock that goes back further than this against the monotonic one was set."""
PAGE = 1000


class Promoter:
    """``starting`` reserves a place for a turn; ``damages`` are agents that are not tried again."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        starting: Callable[[], AbstractContextManager[Starter | None]],
        damages: Damages,
    ) -> None:
        self._store, self._clock, self._starting, self._damages = store, clock, starting, damages
        self._ahead = math.inf

    async def promote(self) -> float:
        """Promote what is due; seconds until the next one is, infinite if none is known."""
        while (due := await self._store.next_due()) is not None:
            moment, agents = due
            wait = (moment - self._clock()) / 1_000_000
            if wait > 0:
                return wait
            await self._promote_all(agents)
            if all(name in self._damages for name in agents):  # they stay the first for ever
                await self._ask_all()
                return math.inf
        return math.inf

    async def check_clock(self) -> float:
        """If the clock was set back, or may have been before the start, look whether a retry waits for too long.

        The moment for which it was set says nothing then; the rules know how far off it can be.
        """
        ahead = self._clock() / 1_000_000 - monotonic()
        if ahead < self._ahead - STEP_SECONDS and await self._store.next_due() is not None:
            await self._ask_all()
        self._ahead = ahead
        return math.inf

    async def _ask_all(self) -> None:
        """Look at every agent for turns that wait for their time, whatever time that is."""
        after: str | None = ""
        while after is not None:
            page = await self._store.list_agents(after=after, limit=PAGE)
            heads = [listed.head for listed in page.items]
            await self._promote_all([head.name for head in heads if head.scheduled or head.retry_at is not None])
            after = page.next

    async def _promote_all(self, names: Collection[str]) -> None:
        for name in names:
            if name not in self._damages:
                with self._starting() as starter, self._damages.outlived(name), suppress(AgentNotFound):
                    await self._store.execute(Promote(name, starter))
