"""What a line of the log is about: the agent, turn and attempt, or the request, in whose course it was written.

Code of a turn need not say so, be it a tool's, a hook's, or a library's that they call: it is known from where it runs.
Code that acts on a turn from elsewhere says it, by ``extra=about(…)``.
"""

from collections.abc import Mapping
from contextvars import ContextVar

from pygents_core.agent import current_agent
from pygents_core.errors import NotRunningError
from pygents_core.turn import current_turn

ABOUT = "pygents_about"
"""The attribute of a log record that ``about`` adds."""

answering: ContextVar[bytes] = ContextVar("pygents_request", default=b"")
"""The id of the request that is being answered here; no turn begins in the context of a request."""


def about(agent: str, turn: str | None = None, attempt: int | None = None) -> Mapping[str, object]:
    """For ``extra``: the line is about this agent, or about this turn of it."""
    return {ABOUT: {"agent": agent, "turn": turn, "attempt": attempt}}


def here() -> dict[str, object]:
    """The turn whose code calls this and the request in whose course it is called, as far as there are such."""
    found: dict[str, object] = {}
    if request := answering.get():
        found["request"] = request.decode()
    try:
        turn = current_turn()
    except NotRunningError:
        return found
    if turn.id is not None:  # in memory turns have none
        found |= {"agent": _agent(), "turn": turn.id, "attempt": turn.attempt}
    return found


def _agent() -> str | None:
    try:
        return current_agent().name
    except NotRunningError:  # a tool runs a turn of its own, without an agent
        return None
