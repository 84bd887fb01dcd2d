"""BEFORE_PUT hooks for turns that come from outside: they run where tools run, not where HTTP is served."""

from functools import partial

from pygents_core.errors import HookFailed
from pygents_core.hooks import AgentHook, HookRunner
from pygents_core.turn import Turn as CoreTurn

from ..errors import SubmitRejected, Unavailable
from ..model import Definition
from .roster import Roster
from .worker import Worker


class PutHooks:
    """Called with a turn before it is stored. ``timeout`` in seconds, for each hook.

    Raises ``SubmitRejected`` if a hook raises, ``Unavailable`` if one is too slow.
    """

    def __init__(self, *, roster: Roster, worker: Worker, timeout: float) -> None:
        self._roster, self._worker = roster, worker
        self._hooks = HookRunner(limit=timeout, wrap=True)

    async def __call__(self, definition: Definition, turn: CoreTurn) -> None:
        try:
            await self._worker.call(partial(self._fire, definition, turn))
        except HookFailed as failed:
            raise _refusal(definition.name, failed) from failed

    async def _fire(self, definition: Definition, turn: CoreTurn) -> None:
        agent = self._roster.agent(definition)
        await self._hooks.fire(AgentHook.BEFORE_PUT, agent.hooks.get(AgentHook.BEFORE_PUT, ()), agent, turn)


def _refusal(agent: str, failed: HookFailed) -> SubmitRejected | Unavailable:
    if failed.timed_out:
        return Unavailable(f"A BEFORE_PUT hook of agent {agent!r} was too slow. Try again later.")
    return SubmitRejected(f"Agent {agent!r} rejected the turn: {failed}")
