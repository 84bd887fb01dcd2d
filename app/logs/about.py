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
"""The id of the request that is being answered here, or whose turn's code this is, however far down a chain of turns.

No turn begins in the context of a request: its code is told."""


def about(
    agent: str, turn: str | None = None, attempt: int | None = None, request: str | None = None
) -> Mapping[str, object]:
    """For ``extra``: the line is about this agent, or about this turn of it, which came of that request."""
    said: dict[str, object] = {"agent": agent, "turn": turn, "attempt": attempt}
    return {ABOUT: said | {"request": request} if request is not None else said}


def here() -> dict[str, object]:
    """The turn whose code calls this and the request in whose course it is called, as far as there are such."""
    request = answering.get()
    found: dict[str, object] = {"request": request.decode()} if request else {}
    try:
        turn = current_turn()
    except NotRunningError:
        return found
    if turn.id is None:  # in memory turns have none
        return found
    return {"agent": _agent(), "turn": turn.id, "attempt": turn.attempt, **found}


def _agent() -> str | None:
    try:
        return current_agent().name
    except NotRunningError:  # a tool runs a turn of its own, without an agent
        return None
