"""Put hooks for turns that come from outside: they run where tools run, not where HTTP is served."""

import logging
from functools import partial
from typing import Any

from pygents_core.errors import HookFailed
from pygents_core.hooks import AgentHook
from pygents_core.turn import Turn as CoreTurn

from ..errors import SubmitRejected, Unavailable
from ..logs.about import about
from ..model import Definition
from .outcomes import text_of
from .roster import Roster
from .workers import Workers

log = logging.getLogger("pygents.put_hooks")


class PutHooks:
    """Called around the storing of a turn. Hooks that the agent does not have cost nothing.

    ``hook_timeout`` in seconds: after that long for each of them the wait is over, even if code blocks their loop.
    """

    def __init__(self, *, roster: Roster, workers: Workers, hook_timeout: float) -> None:
        self._roster, self._workers, self._hook_timeout = roster, workers, hook_timeout

    async def before(self, definition: Definition, turn: CoreTurn[Any]) -> None:
        """Raises ``SubmitRejected`` if a hook raises, ``Unavailable`` if one is slow."""
        if AgentHook.BEFORE_PUT.value not in definition.hooks:
            return
        limit = self._limit(definition, AgentHook.BEFORE_PUT)
        try:
            await self._workers.call(partial(self._roster.agent(definition).admit, turn), limit)
        except HookFailed as failed:
            raise _refusal(definition.name, failed) from failed
        except TimeoutError as error:
            raise _too_slow(definition.name) from error

    async def after(self, definition: Definition, turn: CoreTurn[Any]) -> None:
        """What these hooks raise is logged: the turn is stored."""
        if AgentHook.AFTER_PUT.value not in definition.hooks:
            return
        limit = self._limit(definition, AgentHook.AFTER_PUT)
        try:
            await self._workers.call(partial(self._roster.agent(definition).tell_put, turn), limit)
        except TimeoutError:
            log.warning(
                "the AFTER_PUT hooks of agent %s did not end in time", definition.name, extra=about(definition.name)
            )

    def _limit(self, definition: Definition, kind: AgentHook) -> float:
        return self._hook_timeout * max(1, len(definition.hooks[kind.value]))


def _refusal(agent: str, failed: HookFailed) -> SubmitRejected | Unavailable:
    if failed.timed_out:
        return _too_slow(agent)
    return SubmitRejected(f"Agent {agent!r} rejected the turn: {text_of(failed.__cause__ or failed)}")


def _too_slow(agent: str) -> Unavailable:
    return Unavailable(f"A BEFORE_PUT hook of agent {agent!r} was too slow. Try again later.")
