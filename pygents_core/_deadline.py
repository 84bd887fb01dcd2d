"""The time limit of a turn, and whether somebody cancelled it."""

import asyncio
from time import monotonic

from .errors import TurnTimeoutError


class Abandoned(BaseException):
    """Nobody wants the rest. Not GeneratorExit: what is closed by that may not await while it cleans up."""


# How code is left that somebody cancelled, or threw away.
LEAVING = (asyncio.CancelledError, GeneratorExit, Abandoned)
NEVER = float("inf")


class Deadline:
    """Bounds the code between ``start`` and ``stop`` in time: ``seconds`` from the start; None: not at all.

    Whoever drives that code says ``suspended()`` when it leaves it to the event loop, and ``resumed()`` or
    ``interrupted()`` when it is back. In between, a timer cancels the driving task, once, when the time is over. Code
    that is not suspended then is looked at later: at ``is_over()``, and at the stop. While ``paused``, no timer is set
    and none cancels.

    Code whose time is over is left as TurnTimeoutError, whatever it makes of that, with one exception: if
    ``is_left_by(error)``, somebody else wanted it to stop, and ``error`` leaves as it is.

    A cancellation is somebody else's as long as nobody took it back, as ``asyncio.timeout`` does with its own (Python's
    ``Task.cancelling()`` and ``uncancel()``). Once the time is over, that is not enough: code that swallowed one goes
    on with it, and a TaskGroup of Python 3.11 or 3.12 may forget to take its own back. What the code leaves with must
    then stem from it, too: be what was thrown into the code, or have been raised while that was handled.
    """

    __slots__ = (
        "_base",
        "_before",
        "_cancelled",
        "_driver",
        "_task",
        "_thrown",
        "_timer",
        "error",
        "is_abandoned",
        "paused",
        "seconds",
        "when",
    )

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.when = NEVER
        self.paused = True
        # Whether the code was thrown away.
        self.is_abandoned = False
        # What ``over()`` made last.
        self.error: TurnTimeoutError | None = None
        # Who drove the code last, and how many cancellations it had then that are none of the code's business.
        self._driver: asyncio.Task[object] | None = None
        self._base = 0
        # How many it had when the code was suspended last, the timer's included.
        self._before = 0
        # Who drives it now, while it is suspended.
        self._task: asyncio.Task[object] | None = None
        # What somebody else's cancellations threw into the code, each with the count that it stands for.
        self._thrown: tuple[tuple[int, BaseException], ...] = ()
        # Whom the timer cancelled.
        self._cancelled: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> float | None:
        """The code is entered. Return when the time will be over, on the monotonic clock, in seconds; None: never."""
        self._driven_by(asyncio.current_task())
        self.paused = False
        if self.seconds is None:
            return None
        self.when = monotonic() + self.seconds
        return self.when

    def stop(self, error: BaseException | None = None) -> None:
        """The code is left, by ``error`` if it raised one. Raises TurnTimeoutError if the time is over."""
        self.paused = True
        if self._timer is not None:
            self._timer.cancel()
        is_late = self.is_over() and (error is None or not (error is self.error or self.is_left_by(error)))
        if self._cancelled is not None:
            self._cancelled.uncancel()
            self._cancelled = None
        self.when = NEVER
        self._thrown = ()  # these hold their tracebacks, and those all that ran
        if is_late:
            raise self.over() from error

    def is_over(self) -> bool:
        """Whether the time is over. No longer so once the code was left."""
        return monotonic() >= self.when

    def over(self) -> TurnTimeoutError:
        """Return the error that says so."""
        self.error = TurnTimeoutError(f"Turn timed out after {self.seconds}s")
        return self.error

    def is_left_by(self, error: BaseException) -> bool:
        """Whether the code leaves with ``error`` because somebody else cancelled it, or threw it away.

        Not so for that of a future that it awaited and that was cancelled by itself, unless it swallowed somebody's
        cancellation before: there is no telling them apart.
        """
        if self.is_abandoned:
            return isinstance(error, LEAVING)
        if self._driver is None or not isinstance(error, asyncio.CancelledError):
            return False
        others = self._others(self._driver)
        if not self.is_over():
            return others > self._base
        return any(count <= others and _stems_from(error, thrown) for count, thrown in self._thrown)

    def suspended(self) -> None:
        """The code waits for the event loop, driven by the current task."""
        task = asyncio.current_task()
        if task is None:
            return
        if task is not self._driver:
            self._driven_by(task)
        self._task = task
        self._before = task.cancelling()
        if self._timer is None and self._cancelled is None and not self.paused and self.seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self.when - monotonic()), self._ring)

    def resumed(self) -> None:
        """The code goes on."""
        self._task = None

    def interrupted(self, error: BaseException) -> None:
        """The code goes on with an exception."""
        task, self._task = self._task, None
        if task is None or self.when == NEVER or task.cancelling() <= self._before:
            return
        own = task.cancelling() - self._others(task)
        count = self._before - own + 1  # of several that came at once, one is enough
        self._thrown = (*(known for known in self._thrown if known[0] < count), (count, error))

    def _driven_by(self, task: "asyncio.Task[object] | None") -> None:
        self._driver = task
        self._base = 0 if task is None else task.cancelling()
        self._thrown = ()

    def _others(self, task: "asyncio.Task[object]") -> int:
        """How many cancellations of ``task`` are not the timer's."""
        return task.cancelling() - (self._cancelled is task)

    def _ring(self) -> None:
        self._timer = None
        if self._task is not None and not self.paused:  # else whoever runs now, or is suspended next, finds out
            self.when = float("-inf")  # the timer may be early by the resolution of its clock
            self._cancelled = self._task
            self._cancelled.cancel()
            self._before += 1


def _stems_from(error: BaseException, origin: BaseException) -> bool:
    """Whether ``error`` is ``origin``, or was raised while that, or what stems from that, was handled."""
    seen: set[int] = set()  # whoever sets __context__ by hand may make a ring
    link: BaseException | None = error
    while link is not None and link is not origin and id(link) not in seen:
        seen.add(id(link))
        link = link.__context__
    return link is origin
