"""Stored agents for ``AgentRegistry.get``: code that looks an agent up by name finds those made over the API, too."""

import asyncio

from pygents_core.agent import Agent

from ..ports import Reads
from .roster import Roster

LOOK_UP_SECONDS = 5.0


class Directory:
    """``find`` waits for a read of the store on the loop that was given to ``start``: call it from any other thread."""

    def __init__(self, *, reads: Reads, roster: Roster) -> None:
        self._reads, self._roster = reads, roster
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def find(self, name: str) -> Agent | None:
        """The agent of that name; None if there is none, or if asked on the loop that would have to answer."""
        if self._loop is None or self._loop.is_closed() or _running_loop() is self._loop:
            return None
        listed = asyncio.run_coroutine_threadsafe(self._reads.get_agent(name), self._loop).result(LOOK_UP_SECONDS)
        return self._roster.agent(listed.head.definition) if listed is not None else None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
