"""How many streams may be open: at all, and of one caller."""

from collections import Counter
from collections.abc import Callable


def _like_others(_caller: str) -> int | None:
    return None


class Places:
    """``most`` for the process, ``each`` for one caller, but for those of which ``own`` says another number; 0 is no
    bound. For use on the HTTP loop.

    Callers are kept only while they have a stream, so there are never more of them than streams.
    """

    def __init__(self, *, most: int = 0, each: int = 0, own: Callable[[str], int | None] = _like_others) -> None:
        self._most, self._each, self._own = most, each, own
        self._taken: Counter[str] = Counter()
        self._count = 0

    def is_free(self, caller: str) -> bool:
        """Whether one more stream may be opened. Asking takes nothing."""
        own = self._own(caller)
        each = self._each if own is None else own
        return (not self._most or self._count < self._most) and (not each or self._taken[caller] < each)

    def enter(self, caller: str) -> None:
        self._count += 1
        self._taken[caller] += 1

    def leave(self, caller: str) -> None:
        self._count -= 1
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
