"""Charges callers for the turns that are made in the course of theirs: sent, put or returned, at any depth."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..access.records import KeyLimits
from ..ports import Listener, Notice
from ..rates import Rates


class Charging:
    """Hears of such turns once they are committed, so that none is charged twice or in vain: not one that a re-run has
    sent again, and no attempt but the first.

    It hears on the store's thread, and the buckets are the HTTP loop's: while that is busy, charges gather. ``limits``
    tells those of a caller. What is owed is in memory; what was not charged when the process ends never is.
    """

    def __init__(
        self, *, rates: Rates, limits: Callable[[str], KeyLimits], listen: Callable[[Listener], Callable[[], None]]
    ) -> None:
        self._rates, self._limits, self._listen = rates, limits, listen
        self._inbox: deque[Sequence[str]] = deque()
        self._called = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unlisten: Callable[[], None] = lambda: None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._unlisten = self._listen(self._hear)

    def stop(self) -> None:
        """Safe without ``start``."""
        self._unlisten()

    def _hear(self, notice: Notice) -> None:
        if not notice.charged or self._loop is None:
            return
        self._inbox.append(notice.charged)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop is closed: nobody asks for anything any more
                self._loop.call_soon_threadsafe(self._charge)

    def _charge(self) -> None:
        self._called = False  # first: what comes from now on may be missed below, and calls again
        owed: Counter[str] = Counter()
        while self._inbox:
            owed.update(self._inbox.popleft())
        for caller, count in owed.items():
            limits = self._limits(caller)
            if pace := self._rates.pace(limits.rate, limits.burst):
                self._rates.turns.charge(caller, pace, count)
