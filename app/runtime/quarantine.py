"""Suspects: turns that were running when a process ended run again one at a time, so that the guilty one is found.

One that has run for a while without taking the process along makes room for the next, or the many innocent turns of a
crash would wait for each other's whole length.
"""

import asyncio
from collections.abc import Callable

PATIENCE_SECONDS = 30.0


class Quarantine:
    """Lives on the dispatcher's loop. ``free`` is called with the agent whose turn it is when the place gets free."""

    def __init__(self, *, free: Callable[[str], object], patience: float = PATIENCE_SECONDS) -> None:
        self._free, self._patience = free, patience
        self._waiting: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.inside: str | None = None

    def admit(self, agent: str) -> bool:
        """Whether the agent's suspect may begin now; if not, ``free`` will tell when to ask again."""
        if self.inside is not None:  # be it this very agent, whose last attempt is about to leave
            self._waiting[agent] = None
            return False
        self._waiting.pop(agent, None)
        self.inside = agent
        self._timer = asyncio.get_running_loop().call_later(self._patience, self.leave, agent)
        return True

    def leave(self, agent: str) -> None:
        """The agent's suspect has ended or did not begin."""
        if self.inside != agent:
            return
        self.close()
        if self._waiting:
            following = next(iter(self._waiting))
            del self._waiting[following]
            self._free(following)

    def close(self) -> None:
        self.inside = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
