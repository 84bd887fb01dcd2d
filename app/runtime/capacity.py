"""How many turns this node runs at once, and whether it begins any more."""

import threading
from collections.abc import Callable
from types import TracebackType

from ..commands import Starter


class Capacity:
    """``concurrency`` turns at once; ``starter`` names this node and the turns that it can begin without a lock.

    A command that may begin a turn reserves a place first, so that many commands of one moment cannot overshoot.
    ``crowded``, set by the dispatcher: agents wait for a place, so that those that have one must take turns with them.
    ``freed``, set by it, too, is called on any thread when a reserved place is given back.
    ``busy``, set by whoever executes, counts begun turns; a place that is briefly counted twice only delays a claim.
    """

    def __init__(self, *, starter: Starter, concurrency: int) -> None:
        self._starter = starter
        self._concurrency = concurrency
        self._reserved = 0
        self._lock = threading.Lock()
        self.busy: Callable[[], int] = lambda: 0
        self.freed: Callable[[], None] = lambda: None
        self.draining = False
        self.crowded = False

    @property
    def free(self) -> int:
        return 0 if self.draining else self._concurrency - self.busy() - self._reserved

    @property
    def reserved(self) -> int:
        """How many commands that may begin a turn are on their way."""
        return self._reserved

    def accepts(self) -> bool:
        """Whether turns from outside are taken."""
        return not self.draining

    def starting(self) -> "Place":
        """A place for the turn that the command inside may begin; None when there is none."""
        return Place(self)

    def reserve(self) -> Starter | None:
        """Each starter that is given out needs its ``give_back``."""
        with self._lock:
            if self.free <= 0:
                return None
            self._reserved += 1
        return self._starter

    def give_back(self) -> None:
        with self._lock:
            self._reserved -= 1
        self.freed()

    def following(self) -> Starter | None:
        """For the end of a turn: the next one takes the place that becomes free, unless other agents wait for it."""
        return None if self.draining or self.crowded else self._starter

    def holding(self, tool: str) -> Starter | None:
        """For a turn whose tool's lock is held; None during the drain, which begins nothing.

        A suspect waits for its lock only once it may begin.
        """
        return None if self.draining else self._starter._replace(tools=frozenset({tool}), suspects=True)


class Place:
    """A place that is reserved for as long as the block inside takes. A class, because every submit needs one."""

    __slots__ = ("_capacity", "_starter")

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._starter: Starter | None = None

    def __enter__(self) -> Starter | None:
        self._starter = self._capacity.reserve()
        return self._starter

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._starter is not None:
            self._capacity.give_back()
