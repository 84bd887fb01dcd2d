"""Rules of execution: a turn begins, gives values and ends, and what becomes of it when its owner is gone."""

from msgspec.structs import replace

from .. import payloads
from ..commands import Append, Appended, Claim, Claimed, Finish, Finished, Recover, Release
from ..draft import Decision, Draft
from ..model import Head, Outcome, Turn, TurnSpec, TurnStatus
from ..retries import retry_at
from .mailbox import mailbox_full
from .view import View, check_fence, known, loaded

INTERRUPTED = Outcome(
    TurnStatus.ERROR,
    error=payloads.error("interrupted", "The process ended while the turn was running; it was not run again."),
    interrupted=True,
    passing=payloads.error("interrupted", "The process ended while the turn was running."),
)


def claim(view: View, command: Claim, now: int) -> Decision:
    head = known(view.head, command.agent)
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


def append(view: View, command: Append, now: int) -> Decision:
    head = check_fence(view.head, command.fence, command.turn_id)
    turn = loaded(view.turn, command.attempt)
    if turn.cancel is not None:  # after a committed cancel nothing of the turn is logged but its end
        return Decision(Appended(head.latest))
    draft = Draft(head, now)
    draft.append(turn, command.values)
    return draft.done(Appended(head.latest + len(command.values)))


def finish(view: View, command: Finish, now: int) -> Decision:
    head = check_fence(view.head, command.fence, command.turn_id)
    turn, outcome, returned = loaded(view.turn, command.attempt), command.outcome, command.returned
    draft = Draft(head, now)
    first = draft.join_due(view.due, view.next)
    if turn.cancel is not None:
        returned = None
    else:
        turn = draft.append(turn, command.values)
        if returned is not None and (refusal := _refuse_returned(head, returned, command.mailbox_limit)):
            outcome, returned = refusal, None
    draft.change(current=None)
    again = retry_at(turn, outcome, now)
    if again is not None:
        ended = draft.requeue(turn, outcome, again)
        following: Turn | None = ended
    else:
        ended = draft.end(turn, outcome, returned.id if returned else None)
        accepted = draft.accept(returned) if returned is not None else None
        waits = accepted is not None and accepted.status is TurnStatus.QUEUED  # or it joins later, when it is due
        following = first or (accepted if waits else None)
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
        return Outcome(TurnStatus.ERROR, error=payloads.error("mailbox_full", mailbox_full(head, limit).detail))
    return None


def release(view: View, command: Release, now: int) -> Decision:
    head = check_fence(view.head, command.fence, None)
    draft = Draft(head, now)
    first = draft.join_due(view.due, view.next)
    if not draft.start(first, command.starter, command.fence):
        draft.change(node=None)
    return draft.done(Claimed(draft.begun, None if draft.begun else first))


def recover(view: View, command: Recover, now: int) -> Decision:
    if view.head is not None and view.head.deleted:  # the code that it waited for is gone with its process
        return Draft(replace(view.head, node=None), now).done(Claimed(None))
    draft = Draft(known(view.head, command.agent), now)
    first = draft.join_due(view.due, view.next)
    current, lost = draft.head.current, view.turn
    draft.change(current=None, node=None)
    if current is not None:
        first = _recover_turn(draft, loaded(lost), command.max_crashes, now) or first
    started = draft.start(first, command.starter)
    return draft.done(Claimed(draft.begun, None if started else first))


def _recover_turn(draft: Draft, turn: Turn, max_crashes: int, now: int) -> Turn | None:
    """What becomes of a turn whose process has ended; the turn, if it goes back to the head of the mailbox."""
    turn = replace(turn, crashes=turn.crashes + 1)
    poisonous = turn.crashes >= max_crashes
    again = retry_at(turn, INTERRUPTED, now) if not poisonous else None
    if again is not None:
        return draft.requeue(turn, INTERRUPTED, again)
    draft.end(turn, _poison(turn.crashes) if poisonous else INTERRUPTED)
    return None


def _poison(crashes: int) -> Outcome:
    message = f"The process ended {crashes} times while this turn was running; it is not run again."
    return Outcome(TurnStatus.ERROR, error=payloads.error("poison", message))
