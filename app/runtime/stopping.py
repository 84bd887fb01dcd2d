"""Why and since when the code of a turn has to stop, and how the turn ends if it does not."""

from time import monotonic

from .outcomes import CANCELLED, DRAINED, TIMED_OUT, Stop
from .scribe import Ending


class Stopping:
    """Of one turn. All times are monotonic."""

    def __init__(self) -> None:
        self.why: Stop | None = None
        self._asked_at: float | None = None
        self._left: tuple[float, Ending] | None = None

    def ask(self, why: Stop) -> bool:
        """Whether that is the first reason; it stands."""
        if self.why is not None:
            return False
        self.why, self._asked_at = why, monotonic()
        return True

    def leave(self, ending: Ending) -> None:
        """The code has ended, but not what it has started."""
        self._left = monotonic(), ending

    def overdue(self, since: float, deadline: float | None, *, runs: bool) -> Ending | None:
        """How the turn ends if its code had to stop before ``since``; ``runs``: it has not. ``deadline``: its own."""
        if self._left is not None and runs:
            left_at, ending = self._left
            return ending if left_at < since else None
        if self._asked_at is not None and self._asked_at < since:
            return Ending(CANCELLED if self.why is Stop.CANCEL else DRAINED)
        return Ending(TIMED_OUT) if runs and deadline is not None and deadline < since else None

    def at_once(self, deadline: float | None) -> Ending:
        """How the turn ends if the process is about to, whatever its code has been told."""
        if self._left is not None:
            return self._left[1]
        if self.why is Stop.CANCEL:
            return Ending(CANCELLED)
        told_at = self._asked_at if self._asked_at is not None else monotonic()
        return Ending(TIMED_OUT if deadline is not None and deadline < told_at else DRAINED)
