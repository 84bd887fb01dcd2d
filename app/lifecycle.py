"""All rules of agents and turns, once, as one pure function: ``decide(view, command, now) -> Decision``.

Everything that may happen to a turn is decided here: who may begin it, what wins when cancel meets finish, what a crash
leaves behind. A store only locks, loads the ``View`` that the command needs, decides and writes the ``Decision``.
A command that is not allowed raises a ``ServiceError``; nothing is written then.

Theory of operation: every agent has one log and one mailbox. ``Head.latest`` is the last sequence number of the log; it
grows by exactly the events of the decision, so that the log is gapless. At most one turn of an agent is running, and
the agent has an owner, a fence (node, epoch), exactly while one is running or its code has not stopped (held).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import errors, payloads
from .commands import (
    AgentReply,
    Append,
    Appended,
    Cancel,
    Cancelled,
    Claim,
    Claimed,
    Command,
    CreateAgent,
    Enqueue,
    Enqueued,
    Finish,
    Finished,
    GuardNeeded,
    Pause,
    Promote,
    Recover,
    Release,
    Resume,
)  # fmt: skip
from .draft import Decision, Draft, is_gone
from .model import (
    EventType,
    Fence,
    Head,
    KeyRecord,
    Outcome,
    PlacedTurn,
    Turn,
    TurnRef,
    TurnSpec,
    TurnStatus,
)  # fmt: skip

PUT_HOOKS = frozenset({"before_put", "after_put"})

INTERRUPTED = Outcome(
    TurnStatus.ERROR,
    error=payloads.error("interrupted", "The process ended while the turn was running; it was not run again."),
)


@dataclass(frozen=True, slots=True)
class View:
    """What the store has loaded for a command; parts that the command does not need are left out.

    ``next`` is the first queued turn of the mailbox. ``due`` are the scheduled turns whose time has come, ordered by
    it, then by acceptance: they join before anything else joins or begins. ``prior`` is the record of the command's
    idempotency key with the turns it stands for as they are now. ``sender`` is the head of the agent whose turn sends.
    """

    head: Head | None
    turn: Turn | None = None
    next: Turn | None = None
    due: tuple[Turn, ...] = ()
    prior: tuple[KeyRecord, tuple[PlacedTurn, ...]] | None = None
    sender: Head | None = None


def decide(view: View, command: Command, now: int) -> Decision:
    """The one decision. ``now`` in microseconds since the epoch. Raises ``ServiceError`` for what is not allowed."""
    return _RULES[type(command)](view, command, now)


# --- the rules, one for each command ---------------------------------------------------------------------------------


def _create_agent(view: View, command: CreateAgent, now: int) -> Decision:
    new, old = command.definition, view.head
    if old is None:
        draft = Draft(Head(new, created_at=now, updated_at=now), now)
        draft.log(EventType.AGENT_CREATED, _definition(command))
        return draft.done(AgentReply(draft.final(), created=True))
    if old.definition == new:
        return Decision(AgentReply(old))
    if new.source == "api":
        raise errors.AgentExists(
            f"An agent named {new.name!r} exists with another definition. Choose another name, or change that agent."
        )
    draft = Draft(old._replace(definition=new, updated_at=now), now)
    draft.log(EventType.AGENT_UPDATED, _definition(command))
    return draft.done(AgentReply(draft.final()))


def _definition(command: CreateAgent) -> bytes:
    definition = command.definition
    tools = b"[" + b",".join(payloads.text(tool) for tool in definition.tools) + b"]"
    return payloads.members({"description": payloads.text(definition.description), "tools": tools})


def _enqueue(view: View, command: Enqueue, now: int) -> Decision:
    if command.origin is not None:
        _check_fence(view.sender, command.origin.fence, command.origin.turn.id)
    if view.prior is not None and command.record is not None:
        return _replay(view.prior, command.record)
    if not command.specs:
        return Decision(Enqueued(()))
    head = _known(view.head, command.agent)
    for spec in command.specs:
        _check_tool(head, spec.tool)
    if is_gone(head.definition, command.code_agents):
        raise errors.AgentGone(
            f"Agent {head.name!r} is gone from the code that is served here: its turns wait, it takes no new ones."
        )
    if not command.guarded and not PUT_HOOKS.isdisjoint(head.definition.hooks):
        raise GuardNeeded(head.definition)
    if head.queued + head.scheduled + len(command.specs) > command.mailbox_limit:
        raise _mailbox_full(head, command.mailbox_limit)
    draft = Draft(head, now)
    first = draft.join_due(view.due, view.next)
    accepted = [draft.accept(spec) for spec in command.specs]
    if head.idle:
        first = first or next((turn for turn in accepted if turn.status is TurnStatus.QUEUED), None)
        draft.start(first, command.starter)
    turns = tuple(draft.turns[turn.id] for turn in accepted)
    return draft.done(Enqueued(_place(turns, draft.head.queued)), record=command.record)


def _place(turns: tuple[Turn, ...], queued: int) -> tuple[PlacedTurn, ...]:
    """The places of turns that are the last of a mailbox of ``queued`` turns."""
    place = queued - sum(turn.status is TurnStatus.QUEUED for turn in turns)
    placed = []
    for turn in turns:
        waits = turn.status is TurnStatus.QUEUED
        place += waits
        placed.append(PlacedTurn(turn, place if waits else None))
    return tuple(placed)


def _replay(prior: tuple[KeyRecord, tuple[PlacedTurn, ...]], asked: KeyRecord) -> Decision:
    record, turns = prior
    if record.digest != asked.digest:
        raise errors.KeyReused(
            "This Idempotency-Key was used for another body. Send the same body again, or take a new key."
        )
    return Decision(Enqueued(turns, replayed=True))


def _mailbox_full(head: Head, limit: int) -> errors.MailboxFull:
    waiting = head.queued + head.scheduled
    return errors.MailboxFull(
        f"{waiting} turns wait for agent {head.name!r} and its mailbox holds {limit}. Try again later.",
        headers={"Retry-After": "1"}, limit=limit, queued=waiting,
    )  # fmt: skip


def _claim(view: View, command: Claim, now: int) -> Decision:
    head = _known(view.head, command.agent)
    if not head.idle or head.paused:
        return Decision(Claimed(None))
    draft = Draft(head, now)
    first = draft.join_due(view.due, view.next)
    if first is None or command.turn_id not in (None, first.id):
        reply = Claimed(None)
    elif draft.start(first, command.starter):
        reply = Claimed(draft.begun)
    else:
        reply = Claimed(None, first, head.definition)
    return draft.done(reply) if draft.turns else Decision(reply)


def _append(view: View, command: Append, now: int) -> Decision:
    head = _check_fence(view.head, command.fence, command.turn_id)
    turn = _loaded(view.turn)
    if turn.cancel is not None:  # after a committed cancel nothing of the turn is logged but its end
        return Decision(Appended(head.latest))
    draft = Draft(head, now)
    draft.append(turn, command.values)
    return draft.done(Appended(head.latest + len(command.values)))


def _finish(view: View, command: Finish, now: int) -> Decision:
    head = _check_fence(view.head, command.fence, command.turn_id)
    turn, outcome, returned = _loaded(view.turn), command.outcome, command.returned
    draft = Draft(head, now)
    first = draft.join_due(view.due, view.next)
    if turn.cancel is not None:
        returned = None
    else:
        turn = draft.append(turn, command.values)
        if returned is not None and (refusal := _refuse_returned(head, returned, command.mailbox_limit)):
            outcome, returned = refusal, None
    ended = draft.end(turn, outcome, returned.id if returned else None)
    accepted = draft.accept(returned) if returned is not None else None
    waits = accepted is not None and accepted.status is TurnStatus.QUEUED  # or it joins later, when it is due
    following = first or (accepted if waits else None)
    draft.change(current=None)
    if not command.hold and not draft.start(following, command.starter, command.fence):
        draft.change(node=None)
    memory = command.memory if ended.status is TurnStatus.COMPLETED else None
    return draft.done(Finished(ended, draft.begun, None if draft.begun else following), memory=memory)


def _refuse_returned(head: Head, returned: TurnSpec, limit: int) -> Outcome | None:
    """A tool that returns a turn which its agent cannot take has failed: the outcome says why."""
    if returned.tool not in head.definition.tools:
        message = f"agent {head.name!r} does not accept tool {returned.tool!r}, which the returned turn names"
        return Outcome(TurnStatus.ERROR, error=payloads.error("ValueError", message))
    if head.queued + head.scheduled >= limit:
        return Outcome(TurnStatus.ERROR, error=payloads.error("mailbox_full", _mailbox_full(head, limit).detail))
    return None


def _release(view: View, command: Release, now: int) -> Decision:
    head = _check_fence(view.head, command.fence, None)
    draft = Draft(head, now)
    first = draft.join_due(view.due, view.next)
    if not draft.start(first, command.starter, command.fence):
        draft.change(node=None)
    return draft.done(Claimed(draft.begun, None if draft.begun else first))


def _cancel(view: View, command: Cancel, now: int) -> Decision:
    head, turn = _known(view.head, command.agent), view.turn
    if turn is None:
        raise errors.TurnNotFound(f"Agent {command.agent!r} has no turn {command.turn_id!r}.")
    if turn.status is TurnStatus.CANCELLED:
        return Decision(Cancelled(turn, asked=False))
    if turn.ended:
        raise errors.TurnEnded(f"The turn had ended ({turn.status}) before it could be cancelled.", turn=turn)
    draft = Draft(head, now)
    asked = turn if turn.cancel is not None else turn._replace(cancel=command.request)
    if turn.status is TurnStatus.RUNNING:
        draft.turns[turn.id] = asked
        return draft.done(Cancelled(asked, asked=True), cancelling=TurnRef(command.agent, turn.id))
    waiting = "queued" if turn.status is TurnStatus.QUEUED else "scheduled"
    draft.change(**{waiting: getattr(head, waiting) - 1})
    return draft.done(Cancelled(draft.end(asked, Outcome(TurnStatus.CANCELLED)), asked=False))


def _pause(view: View, command: Pause, now: int) -> Decision:
    head = _known(view.head, command.agent)
    if head.paused:
        return Decision(AgentReply(head))
    draft = Draft(head._replace(paused=True), now)
    draft.log(EventType.AGENT_PAUSED, b"{}")
    return draft.done(AgentReply(draft.final()))


def _resume(view: View, command: Resume, now: int) -> Decision:
    head = _known(view.head, command.agent)
    if not head.paused:
        return Decision(AgentReply(head))
    draft = Draft(head._replace(paused=False), now)
    draft.log(EventType.AGENT_RESUMED, b"{}")
    first = draft.join_due(view.due, view.next)
    if head.idle:
        draft.start(first, command.starter)
    return draft.done(AgentReply(draft.final()))


def _promote(view: View, command: Promote, now: int) -> Decision:
    head = _known(view.head, command.agent)
    draft = Draft(head, now)
    first = draft.join_due(view.due, view.next)
    if head.idle:
        draft.start(first, command.starter)
    return draft.done(Claimed(draft.begun))


def _recover(view: View, command: Recover, now: int) -> Decision:
    draft = Draft(_known(view.head, command.agent), now)
    if draft.head.current is not None:
        draft.end(_loaded(view.turn), INTERRUPTED)
    draft.change(current=None, node=None)
    first = draft.join_due(view.due, view.next)
    started = draft.start(first, command.starter)
    return draft.done(Claimed(draft.begun, None if started else first))


# --- checks ----------------------------------------------------------------------------------------------------------


def _known(head: Head | None, name: str) -> Head:
    if head is None:
        raise errors.AgentNotFound(f"There is no agent named {name!r}. GET /agents lists those that exist.")
    return head


def _check_fence(head: Head | None, fence: Fence, turn_id: str | None) -> Head:
    if head is None or (head.node, head.epoch) != fence or head.current != turn_id:
        raise errors.Fenced("The turn is not running under this owner (any more); nothing was written.")
    return head


def _check_tool(head: Head, tool: str) -> None:
    if tool not in head.definition.tools:
        accepted = ", ".join(head.definition.tools) or "none"
        raise errors.ToolNotAccepted(
            f"Agent {head.name!r} does not accept tool {tool!r}. It accepts: {accepted}.",
            errors=[{"pointer": "/tool", "detail": "not a tool of this agent"}],
        )


def _loaded(turn: Turn | None) -> Turn:
    if turn is None:
        raise errors.Fenced("The turn is not stored here; nothing was written.")
    return turn


_RULES: Mapping[type[Command], Callable[[View, Any, int], Decision]] = {
    CreateAgent: _create_agent,
    Enqueue: _enqueue,
    Claim: _claim,
    Append: _append,
    Finish: _finish,
    Release: _release,
    Cancel: _cancel,
    Pause: _pause,
    Resume: _resume,
    Promote: _promote,
    Recover: _recover,
}
