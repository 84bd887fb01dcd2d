"""All rules of agents and turns, once, as one pure function: ``decide(view, command, now) -> Decision``.

Everything that may happen to a turn is decided here: who may begin it, what wins when cancel meets finish, what a crash
leaves behind. A store only locks, loads the ``View`` that the command needs, decides and writes the ``Decision``.
A command that is not allowed raises a ``ServiceError``; nothing is written then.

Theory of operation: every agent has one log and one mailbox. ``Head.latest`` is the last sequence number of the log; it
grows by exactly the events of the decision, so that the log is gapless. At most one turn of an agent is running, and
the agent has an owner, a fence (node, epoch), exactly while one is running or its code has not stopped (held).
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..commands import (
    Append,
    Cancel,
    Claim,
    Command,
    CreateAgent,
    DeleteAgent,
    Enqueue,
    Finish,
    PatchAgent,
    Pause,
    Promote,
    Prune,
    Recover,
    Release,
    Restore,
    Resume,
)  # fmt: skip
from ..draft import Decision
from . import agents, execution, mailbox, retention
from .view import View

__all__ = ["View", "decide"]


def decide(view: View, command: Command, now: int) -> Decision:
    """The one decision. ``now`` in microseconds since the epoch. Raises ``ServiceError`` for what is not allowed."""
    return _RULES[type(command)](view, command, now)


_RULES: Mapping[type[Command], Callable[[View, Any, int], Decision]] = {
    CreateAgent: agents.create,
    PatchAgent: agents.patch,
    Pause: agents.pause,
    Resume: agents.resume,
    DeleteAgent: agents.delete,
    Restore: agents.restore,
    Enqueue: mailbox.enqueue,
    Cancel: mailbox.cancel,
    Promote: mailbox.promote,
    Claim: execution.claim,
    Append: execution.append,
    Finish: execution.finish,
    Release: execution.release,
    Recover: execution.recover,
    Prune: retention.prune,
}
