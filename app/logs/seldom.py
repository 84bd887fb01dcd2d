"""Lines that anybody can cause as often as he likes."""

import logging
from collections.abc import Callable
from time import monotonic

SECONDS = 10.0


class Seldom(logging.Filter):
    """Lets the record with this ``text`` through once in ``SECONDS``, with how many were held back since the last."""

    def __init__(self, text: str, *, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._text, self._clock = text, clock
        self._next, self._untold = float("-inf"), 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg != self._text:
            return True
        now = self._clock()
        if now < self._next:
            self._untold += 1
            return False
        if self._untold:
            record.msg = f"{self._text} ({self._untold} more since the last such line)"
        self._next, self._untold = now + SECONDS, 0
        return True
