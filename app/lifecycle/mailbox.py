"""Rules of the mailbox: what joins it, when, and what leaves it without having begun."""

from msgspec.structs import replace

from .. import errors
from ..commands import Cancel, Cancelled, Claimed, Enqueue, Enqueued, GuardNeeded, Promote
from ..draft import Decision, Draft, is_gone
from ..model import Head, KeyRecord, Outcome, PlacedTurn, Turn, TurnRef, TurnStatus
from ..retries import is_early
from .view import View, check_fence, check_tool, known

PUT_HOOKS = frozenset({"before_put", "after_put"})


def enqueue(view: View, command: Enqueue, now: int) -> Decision:
    if command.origin is not None:
        check_fence(view.sender, command.origin.fence, command.origin.turn.id)
        if view.turn is not None and view.turn.cancel is not None:  # or who cancels what came of it would miss this
            raise errors.Fenced("The turn was cancelled; it sends nothing more.")
    if view.prior is not None and command.record is not None:
        return _replay(view.prior, command.record)
    if not command.specs:
        return Decision(Enqueued(()))
    head = known(view.head, command.agent)
    for index, spec in enumerate(command.specs):
        check_tool(head, spec.tool, f"/{index}/tool" if command.batch else "/tool")
    if is_gone(head.definition, command.code_agents):
        raise errors.AgentGone(
            f"Agent {head.name!r} is gone from the code that is served here: its turns wait, it takes no new ones."
        )
    if not command.guarded and not PUT_HOOKS.isdisjoint(head.definition.hooks):
        raise GuardNeeded(head.definition)
    if head.queued + head.scheduled + len(command.specs) > command.mailbox_limit:
        raise mailbox_full(head, command.mailbox_limit)
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


def cancel(view: View, command: Cancel, now: int) -> Decision:
    head, turn = known(view.head, command.agent), view.turn
    if turn is None:
        raise errors.TurnNotFound(f"Agent {command.agent!r} has no turn {command.turn_id!r}.")
    if turn.status is TurnStatus.CANCELLED:
        return Decision(Cancelled(turn, asked=False))
    if turn.ended:
        raise errors.TurnEnded(f"The turn had ended ({turn.status}) before it could be cancelled.", turn=turn)
    draft = Draft(head, now)
    asked = turn if turn.cancel is not None else replace(turn, cancel=command.request)
    if turn.status is TurnStatus.RUNNING:
        draft.turns[turn.id] = asked
        return draft.done(Cancelled(asked, asked=True), cancelling=TurnRef(command.agent, turn.id))
    waiting = "queued" if turn.status is TurnStatus.QUEUED else "scheduled"
    draft.change(**{waiting: getattr(head, waiting) - 1})
    if turn.retry_at is not None:  # it was at the head, and all others waited behind it
        draft.change(retry_at=None)
    return draft.done(Cancelled(draft.end(asked, Outcome(TurnStatus.CANCELLED)), asked=False))


def promote(view: View, command: Promote, now: int) -> Decision:
    head = known(view.head, command.agent)
    draft = Draft(head, now)
    first = draft.join_due(view.due, view.next)
    if head.retry_at is not None and not (first is not None and is_early(first, head.retry_at, now)):
        draft.change(retry_at=None)
    if head.idle:
        draft.start(first, command.starter)
    return draft.done(Claimed(draft.begun)) if draft.head is not head else Decision(Claimed(None))


def mailbox_full(head: Head, limit: int) -> errors.MailboxFull:
    waiting = head.queued + head.scheduled
    return errors.MailboxFull(
        f"{waiting} turns wait for agent {head.name!r} and its mailbox holds {limit}. Try again later.",
        headers={"Retry-After": "1"}, limit=limit, queued=waiting,
    )  # fmt: skip
