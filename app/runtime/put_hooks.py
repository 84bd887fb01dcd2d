"""Put hooks for turns that come from outside: they run where tools run, not where HTTP is served."""

from functools import partial
from typing import Any

from pygents_core.errors import HookFailed
from pygents_core.hooks import AgentHook
from pygents_core.turn import Turn as CoreTurn

from ..errors import SubmitRejected, Unavailable
from ..model import Definition
from .outcomes import text_of
from .roster import Roster
from .worker import Worker


class PutHooks:
    """Called around the storing of a turn. Hooks that the agent does not have cost nothing."""

    def __init__(self, *, roster: Roster, worker: Worker) -> None:
        self._roster, self._worker = roster, worker

    async def before(self, definition: Definition, turn: CoreTurn[Any]) -> None:
        """Raises ``SubmitRejected`` if a hook raises, ``Unavailable`` if one is slow."""
        if AgentHook.BEFORE_PUT.value not in definition.hooks:
            return
        try:
            await self._worker.call(partial(self._roster.agent(definition).admit, turn))
        except HookFailed as failed:
            raise _refusal(definition.name, failed) from failed

    async def after(self, definition: Definition, turn: CoreTurn[Any]) -> None:
        """What these hooks raise is logged: the turn is stored."""
        if AgentHook.AFTER_PUT.value in definition.hooks:
            await self._worker.call(partial(self._roster.agent(definition).tell_put, turn))


def _refusal(agent: str, failed: HookFailed) -> SubmitRejected | Unavailable:
    if failed.timed_out:
        return Unavailable(f"A BEFORE_PUT hook of agent {agent!r} was too slow. Try again later.")
    return SubmitRejected(f"Agent {agent!r} rejected the turn: {text_of(failed.__cause__ or failed)}")
