"""The issuer's keys as they are kept: fetched in the background, again and again, and when a token names a new one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

from .fetching import FetchFailed
from .keyset import KeySet

RENEW_SECONDS = 600.0
FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0
"""Seconds after a fetch that failed; twice as many after each further one."""
ASK_SECONDS = 30.0
"""The least between two fetches that tokens cause: made-up key ids are no way to send a crowd to the issuer."""
log = logging.getLogger(__name__)


class Keyring:
    """``keys`` are the newest that could be had, however old; None as long as there never were any. For one loop."""

    def __init__(self, *, fetch: Callable[[], Awaitable[KeySet]], clock: Callable[[], float] = monotonic) -> None:
        self.keys: KeySet | None = None
        self._fetch, self._clock = fetch, clock
        self._failures = 0
        self._asked: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to fetch. It is not waited for: the service starts while its issuer is down."""
        self._renewing = asyncio.get_running_loop().create_task(self._renew(self._begin()))

    async def stop(self) -> None:
        """Safe without ``start``."""
        tasks = [task for task in (self._renewing, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def renewed(self) -> None:
        """After a token that names none of ``keys``: return once they are newer, or cannot be for now.

        A fetch that is under way is waited for. A further one begins only ``ASK_SECONDS`` after the last that was
        asked for so; while none has ever succeeded, not at all, because they follow each other anyway.
        """
        if self._fetching is None:
            now = self._clock()
            if self.keys is None or (self._asked is not None and now - self._asked < ASK_SECONDS):
                return
            self._asked = now
        await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._take())
        return self._fetching

    async def _renew(self, fetching: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.shield(fetching)
            retry = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(self._failures - 1, 10))
            await asyncio.sleep(retry if self._failures else RENEW_SECONDS)
            fetching = self._begin()

    async def _take(self) -> None:
        """One fetch. An outage has one line in the log when it begins, and one when it ends."""
        try:
            keys = await self._fetch()
        except FetchFailed as error:
            self._failures += 1
            if self._failures == 1:
                log.warning("the keys of the issuer of tokens cannot be fetched: %s", error)
        except Exception:
            self._failures += 1
            log.exception("the keys of the issuer of tokens cannot be fetched")
        else:
            if self._failures or self.keys is None:
                log.info("the keys of the issuer of tokens are there")
            self._failures = 0
            self.keys = self.keys if keys == self.keys else keys
        finally:
            self._fetching = None
