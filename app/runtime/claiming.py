"""The durable begin of a turn that has waited for its tool's lock."""

import asyncio
import threading

from ..commands import Claim
from ..model import Begun, Turn
from ..ports import Store
from .capacity import Capacity
from .settling import settled


class NotBegun(Exception):
    """While it waited for its tool's lock, the turn was cancelled, its agent paused, or the service began to drain."""


class Claiming:
    """One runner's claim of its turn."""

    def __init__(self, turn: Turn, *, store: Store, capacity: Capacity) -> None:
        self._turn, self._store, self._capacity = turn, store, capacity
        self._guard = threading.Lock()
        self._is_open = False
        self._offered: Begun | None = None

    def accepts(self, begun: Begun) -> bool:
        """Whether this claim, being on its way, goes on from what somebody else has begun. From any thread."""
        with self._guard:
            if self._is_open:
                self._offered = begun
            return self._is_open

    async def claim(self) -> tuple[Begun, asyncio.CancelledError | None]:
        """What has begun, and a cancellation that came meanwhile: the caller lets it go on when it knows of the turn.

        Raises NotBegun if the turn may not begin (any more), ServiceError if the store refuses.
        """
        starter = self._capacity.holding(self._turn.spec.tool)
        if starter is None:
            raise NotBegun
        claiming = self._store.execute(Claim(self._turn.spec.agent, starter, self._turn.id))
        self._open()
        cancelled = await settled(claiming)
        offered = self._close()
        refusal = claiming.exception()
        if refusal is not None and offered is None:
            raise refusal
        begun = offered or claiming.result().begun
        if begun is None:
            raise NotBegun
        return begun, cancelled

    def _open(self) -> None:
        with self._guard:
            self._is_open = True

    def _close(self) -> Begun | None:
        with self._guard:
            self._is_open = False
            return self._offered
