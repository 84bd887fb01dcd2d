"""How many turns this node runs at once, and whether it begins any more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..commands import Starter


class Capacity:
    """``concurrency`` turns at once; ``tools`` are those whose turns can begin without waiting for a lock.

    A command that may begin a turn reserves a place first, so that many commands of one moment cannot overshoot.
    ``busy``, set by whoever executes, counts begun turns; a place that is briefly counted twice only delays a claim.
    """

    def __init__(self, *, node: str, tools: frozenset[str], concurrency: int) -> None:
        self._starter = Starter(node, tools)
        self._concurrency = concurrency
        self._reserved = 0
        self._lock = threading.Lock()
        self.busy: Callable[[], int] = lambda: 0
        self.draining = False

    @property
    def free(self) -> int:
        return 0 if self.draining else self._concurrency - self.busy() - self._reserved

    def accepts(self) -> bool:
        """Whether turns from outside are taken."""
        return not self.draining

    @contextmanager
    def starting(self) -> Iterator[Starter | None]:
        """A place for the turn that the command inside may begin; None when there is none."""
        with self._lock:
            reserved = self.free > 0
            self._reserved += reserved
        try:
            yield self._starter if reserved else None
        finally:
            with self._lock:
                self._reserved -= reserved

    def following(self) -> Starter | None:
        """For the end of a turn: the next one takes the place that becomes free."""
        return None if self.draining else self._starter

    def holding(self, tool: str) -> Starter:
        """For a turn whose tool's lock is held."""
        return Starter(self._starter.node, frozenset({tool}))
