"""The time limit of a turn, and whether somebody cancelled it."""

import asyncio
from time import monotonic
from types import TracebackType

from .errors import TurnTimeoutError


class Abandoned(BaseException):
    """Nobody wants the rest. Not GeneratorExit: what is closed by that may not await while it cleans up."""


# How code is left that somebody cancelled, or threw away.
LEAVING = (asyncio.CancelledError, GeneratorExit, Abandoned)


class Deadline:
    """Bounds the code in its ``with`` block in time: ``seconds`` from entering it; None: not at all.

    Whoever drives that code says ``suspended()`` when it leaves it to the event loop, and ``resumed()`` or
    ``interrupted()`` when it is back. In between, a timer cancels the driving task, once, when the time is over; then
    the block is left as TurnTimeoutError, whatever the code makes of it. Code that is not suspended then looks for
    itself: at ``is_over()``; leaving the block looks, too. While ``paused``, no timer is set and none cancels.
    The bookkeeping of cancellations is that of ``asyncio.timeout`` (CPython 3.11): somebody else's leave as they are.
    """

    __slots__ = (
        "_cancelled",
        "_cancels_before",
        "_task",
        "_timer",
        "error",
        "is_cancelled",
        "paused",
        "seconds",
        "when",
    )

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.when = float("inf")
        self.paused = True
        # Whether somebody else cancelled the code, or threw it away.
        self.is_cancelled = False
        # What ``over()`` made last.
        self.error: TurnTimeoutError | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancels_before: int | None = None
        self._cancelled: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> float | None:
        """Return when the time will be over, on the monotonic clock, in seconds; None: never."""
        self.paused = False
        if self.seconds is None:
            return None
        self.when = monotonic() + self.seconds
        return self.when

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.paused = True
        if self._timer is not None:
            self._timer.cancel()
        if self._cancelled is not None:
            self._cancelled.uncancel()
        if self.is_cancelled and kind in LEAVING:
            return
        if self.is_over() and (error is None or error is not self.error):
            raise self.over() from error

    def is_over(self) -> bool:
        """Whether the time is over."""
        return monotonic() >= self.when

    def over(self) -> TurnTimeoutError:
        """Return the error that says so."""
        self.error = TurnTimeoutError(f"Turn timed out after {self.seconds}s")
        return self.error

    def suspended(self) -> None:
        """The code waits for the event loop, driven by the current task."""
        task = asyncio.current_task()
        if task is None:
            return
        self._task = task
        if self._cancels_before is None:
            self._cancels_before = task.cancelling()
        if self._timer is None and self._cancelled is None and not self.paused and self.seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self.when - monotonic()), self._ring)

    def resumed(self) -> None:
        """The code goes on."""
        self._task = None

    def interrupted(self) -> None:
        """The code goes on with an exception."""
        task, self._task = self._task, None
        if task is not None and self._cancels_before is not None:
            own = 0 if self._cancelled is None else 1
            self.is_cancelled |= task.cancelling() - own > self._cancels_before

    def _ring(self) -> None:
        self._timer = None
        if self._task is not None and not self.paused:  # else whoever runs now, or is suspended next, finds out
            self.when = float("-inf")  # the timer may be early by the resolution of its clock
            self._cancelled = self._task
            self._cancelled.cancel()
