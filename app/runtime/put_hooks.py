"""BEFORE_PUT hooks for turns that come from outside: they run where tools run, not where HTTP is served."""

from functools import partial
from typing import Any

from pygents_core.errors import HookFailed
from pygents_core.turn import Turn as CoreTurn

from ..errors import SubmitRejected, Unavailable
from ..model import Definition
from .roster import Roster
from .worker import Worker


class PutHooks:
    """Called with a turn before it is stored. Raises ``SubmitRejected`` if a hook does, or ``Unavailable``."""

    def __init__(self, *, roster: Roster, worker: Worker) -> None:
        self._roster, self._worker = roster, worker

    async def __call__(self, definition: Definition, turn: CoreTurn[Any]) -> None:
        try:
            await self._worker.call(partial(self._roster.agent(definition).admit, turn))
        except HookFailed as failed:
            raise _refusal(definition.name, failed) from failed


def _refusal(agent: str, failed: HookFailed) -> SubmitRejected | Unavailable:
    if failed.timed_out:
        return Unavailable(f"A BEFORE_PUT hook of agent {agent!r} was too slow. Try again later.")
    return SubmitRejected(f"Agent {agent!r} rejected the turn: {failed.__cause__ or failed}")
