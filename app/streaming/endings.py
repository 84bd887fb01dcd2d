"""Who waits for the end of a turn."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..model import Turn

Ending = asyncio.Future[Turn | None]


class Endings:
    """Waiters by turn. A wake-up is a hint: register first, then read the turn, then wait, then read it again."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[Ending]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    @contextmanager
    def waiting(self, turn_id: str) -> Iterator[Ending]:
        """A future of the turn as it ended; of None if the service drains first."""
        ending: Ending = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(turn_id, set())
        waiters.add(ending)
        try:
            yield ending
        finally:
            waiters.discard(ending)
            if not waiters and self._waiters.get(turn_id) is waiters:
                del self._waiters[turn_id]

    def ended(self, turns: Iterable[Turn]) -> None:
        for turn in turns:
            self._answer(self._waiters.get(turn.id, ()), turn)

    def release(self) -> None:
        """Answer everybody who waits, because nobody will wait for long any more."""
        for waiters in tuple(self._waiters.values()):
            self._answer(waiters, None)

    def _answer(self, waiters: Iterable[Ending], turn: Turn | None) -> None:
        for ending in tuple(waiters):
            if not ending.done():
                ending.set_result(turn)
