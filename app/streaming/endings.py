"""Who waits for the end of a turn."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..model import Turn

Ending = asyncio.Future[Turn | None]
Heard = set[str]
"""The ids of turns that have ended."""


class Endings:
    """Waiters by turn. A wake-up is a hint: register first, then read the turn, then wait, then read it again."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[Ending]] = {}
        self._hearing: dict[int, Heard] = {}

    def __len__(self) -> int:
        return len(self._waiters) + len(self._hearing)

    @contextmanager
    def hearing(self) -> Iterator[Heard]:
        """All ends from now on until the block ends, of whatever turns: their ids only, because they may be many."""
        heard: Heard = set()
        self._hearing[id(heard)] = heard
        try:
            yield heard
        finally:
            del self._hearing[id(heard)]

    @contextmanager
    def waiting(self, turn_id: str, heard: Heard | None = None) -> Iterator[Ending]:
        """A future of the turn as it ended; of None if the service drains first, or its end was ``heard`` already."""
        ending: Ending = asyncio.get_running_loop().create_future()
        if heard is not None and turn_id in heard:
            ending.set_result(None)
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
            for heard in self._hearing.values():
                heard.add(turn.id)
            self._answer(self._waiters.get(turn.id, ()), turn)

    def release(self) -> None:
        """Answer everybody who waits, because nobody will wait for long any more."""
        for waiters in tuple(self._waiters.values()):
            self._answer(waiters, None)

    def _answer(self, waiters: Iterable[Ending], turn: Turn | None) -> None:
        for ending in tuple(waiters):
            if not ending.done():
                ending.set_result(turn)
