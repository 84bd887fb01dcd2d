"""Whether the service takes turns now, and if not, why. Anybody may ask, so that must not cost the service much."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import cast

from starlette.requests import Request

from ..errors import ServiceError
from .services import Dispatcher

FRESH_SECONDS = 0.5
"""How long the store is taken to work because it did. Each check is a commit with an fsync of its own: who asks often
enough could otherwise keep the disk busy."""


class Readiness:
    """``check`` raises ``ServiceError`` if the store cannot be read and written."""

    def __init__(
        self, *, dispatcher: Dispatcher, check: Callable[[], Awaitable[None]], clock: Callable[[], float] = monotonic
    ) -> None:
        self._dispatcher, self._check, self._clock = dispatcher, check, clock
        self._checked_at, self._failure = float("-inf"), ""
        self._one_at_a_time = asyncio.Lock()

    async def reasons(self) -> list[str]:
        """Why it does not; none if it does."""
        found = ["draining"] if self._dispatcher.draining else []
        if self._dispatcher.exhausted:
            found.append("tools block too many event loops")
        failure = await self._store_failure()
        return [*found, failure] if failure else found

    async def _store_failure(self) -> str:
        """Empty if it works. Those who ask while it is being checked share what is found."""
        asked_at = self._clock()
        async with self._one_at_a_time:
            if self._checked_at <= asked_at - (0 if self._failure else FRESH_SECONDS):
                self._failure = await self._checked()
                self._checked_at = self._clock()
            return self._failure

    async def _checked(self) -> str:
        try:
            await self._check()
        except ServiceError as error:
            return error.detail
        return ""


def readiness(request: Request) -> Readiness:
    return cast(Readiness, request.app.state.readiness)
