"""Code that holds the interpreter, one huge regular expression for instance, stops every thread of the process.

No Python code can report that, but a timer of C's can: faulthandler writes where all threads are, again and again until
somebody is back to wind it up.
"""

import faulthandler
import logging
import sys
from time import monotonic

log = logging.getLogger("pygents.standstill")

HELD_SECONDS = 2.0
WIND_SECONDS = 0.5
"""How often the timer is wound up: each time makes a thread."""


class Standstill:
    """There is one such timer in a process; it belongs to whoever wound it up last."""

    def __init__(self) -> None:
        self._wound_at: float | None = None
        self._is_possible = True

    def wind(self) -> None:
        """Call it at least every second or so. If it comes too late, what happened is logged."""
        now = monotonic()
        passed = now - self._wound_at if self._wound_at is not None else 0.0
        if passed > HELD_SECONDS:
            log.error("the interpreter was held for about %.1f s; the stacks are on the standard error", passed)
        if self._is_possible and (self._wound_at is None or passed >= WIND_SECONDS):
            self._wound_at = now
            self._arm()

    def stop(self) -> None:
        if self._wound_at is not None:
            self._wound_at = None
            faulthandler.cancel_dump_traceback_later()

    def _arm(self) -> None:
        if sys.__stderr__ is None:
            self._is_possible = False
            return
        try:
            faulthandler.dump_traceback_later(HELD_SECONDS, repeat=True, file=sys.__stderr__)
        except (OSError, ValueError):  # it is closed, or no file
            self._is_possible = False
