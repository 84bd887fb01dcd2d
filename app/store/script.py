"""The one transaction script of local engines: load what a command needs, decide, save; a batch in one commit."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..access.commands import AccessCommand
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
)
from ..draft import Decision
from ..errors import ServiceError
from ..lifecycle import View, decide
from ..logs.about import about
from ..model import Head, Turn
from . import access
from .engine import Engine, Rows

log = logging.getLogger(__name__)

Answer = Decision | Exception
"""What became of a command: what was decided and committed, or why nothing of it was written."""


Failed = Callable[[Exception], None]


def apply_batch(
    engine: Engine,
    commands: Sequence[Command],
    now: int,
    *,
    failed: Failed = lambda why: None,
) -> list[Answer]:
    """Commit ``commands`` together, in their order; ``failed`` is told why that could not be. Never raises.

    A refusal by ``decide`` is the answer of that command alone. If the engine fails, all are decided again one by one,
    once, so that a command that cannot be stored does not take its neighbours with it.
    """
    try:
        engine.rows.begin()
    except Exception as error:
        return _nothing(engine, error, len(commands), failed)
    try:
        answers = [apply(engine.rows, command, now) for command in commands]
        engine.rows.commit()
    except Exception as error:
        failed(engine.explain(error))  # which ends the process after an error that leaves nothing to rely upon
        engine.rows.rollback()
        log.warning("a commit of %d commands failed (%s); they are decided again one by one", len(commands), error)
        return _one_by_one(engine, commands, now)
    return answers


def _one_by_one(engine: Engine, commands: Sequence[Command], now: int) -> list[Answer]:
    answers: list[Answer] = []
    for number, command in enumerate(commands):
        try:
            engine.rows.begin()
        except Exception as error:  # a locked file stays locked: no waiting for it once for each command
            return answers + _nothing(engine, error, len(commands) - number)
        answers.append(_alone(engine, command, now))
    return answers


def _alone(engine: Engine, command: Command, now: int) -> Answer:
    try:
        answer = apply(engine.rows, command, now)
        engine.rows.commit()
    except Exception as error:
        explained = engine.explain(error)
        engine.rows.rollback()
        return explained
    return answer


def _nothing(engine: Engine, error: Exception, count: int, failed: Failed = lambda why: None) -> list[Answer]:
    explained = [engine.explain(error) for _ in range(count)]
    engine.rows.rollback()
    failed(explained[0])
    return list(explained)


def apply(rows: Rows, command: Command, now: int) -> Answer:
    """One command in the transaction that is open. If it raises, that is to be rolled back, unless it is Damaged."""
    if isinstance(command, AccessCommand):
        return access.apply(rows.access, command, now, lambda inner: apply(rows, inner, now))
    view = load(rows, command, now)
    try:
        decision = decide(view, command, now)
    except ServiceError as refusal:
        return refusal
    except Exception as defect:
        of_turn = about(command.agent, getattr(command, "turn_id", None))
        log.exception("deciding %s of agent %r failed", type(command).__name__, command.agent, extra=of_turn)
        return defect
    _save(rows, decision, now)
    return decision


def _save(rows: Rows, decision: Decision, now: int) -> None:
    head = decision.head
    if head is None:
        return
    rows.put_head(head)
    if decision.turns:
        before = head.latest - len(decision.events)
        new = [turn for turn in decision.turns if turn.first_seq > before]
        changed = [turn for turn in decision.turns if turn.first_seq <= before]
        rows.add_turns(new)
        rows.change_turns(changed)
    rows.add_events(decision.events)
    if decision.pruned is not None:
        rows.prune(head, decision.pruned)
    if decision.record is not None:
        rows.add_record(decision.record, now)
    if decision.memory is not None:
        rows.put_memory(head.name, decision.memory)


# --- loading: the parts of the view that each command needs ----------------------------------------------------------


def load(rows: Rows, command: Command, now: int) -> View:
    """What ``decide`` must see of the stored state for this command."""
    head = rows.head(command.agent)
    return _LOADS[type(command)](rows, head, command, now)


def _head(rows: Rows, head: Head | None, command: Command, now: int) -> View:
    return View(head)


def _head_next(rows: Rows, head: Head | None, command: Command, now: int) -> View:
    return View(head, next=_next(rows, head), due=_due(rows, head, now))


def _head_turn(rows: Rows, head: Head | None, command: Append | Cancel, now: int) -> View:
    return View(head, _turn_of(rows, command.agent, command.turn_id))


def _head_turn_next(rows: Rows, head: Head | None, command: Finish, now: int) -> View:
    return View(head, _turn_of(rows, command.agent, command.turn_id), _next(rows, head), _due(rows, head, now))


def _enqueue(rows: Rows, head: Head | None, command: Enqueue, now: int) -> View:
    record, origin = command.record, command.origin
    may_begin = command.starter is not None and head is not None and head.idle and not head.paused
    return View(
        head,
        next=_next(rows, head) if may_begin else None,
        due=_due(rows, head, now),
        prior=rows.prior(record.agent, record.caller, record.key) if record is not None else None,
        sender=rows.head(origin.turn.agent) if origin is not None else None,
        turn=_turn_of(rows, *origin.turn) if origin is not None else None,
    )


def _whole(rows: Rows, head: Head | None, command: DeleteAgent, now: int) -> View:
    """The turns only if they are to be ended: there may be very many."""
    if head is None or head.deleted or not command.force:
        return View(head)
    turn = rows.turn(head.current) if head.current is not None else None
    return View(head, turn, waiting=rows.waiting_turns(head))


def _recover(rows: Rows, head: Head | None, command: Recover, now: int) -> View:
    current = head.current if head is not None else None
    turn = rows.turn(current) if current is not None else None
    return View(head, turn, _next(rows, head), _due(rows, head, now))


def _oldest(rows: Rows, head: Head | None, command: Prune, now: int) -> View:
    """The events only if one of them may go."""
    if head is None or head.deleted:
        return View(head)
    oldest = rows.oldest_events(head, 1)
    if head.length > command.keep or (oldest and oldest[0][1] < command.before):
        oldest = rows.oldest_events(head, command.rows + 1)
    turn = rows.turn(head.current) if head.current is not None else None
    return View(head, turn, oldest=oldest, expired=rows.expired_turns(head, command.ended_before, command.rows))


def _next(rows: Rows, head: Head | None) -> Turn | None:
    return rows.next_turn(head) if head is not None and head.queued else None


def _due(rows: Rows, head: Head | None, now: int) -> tuple[Turn, ...]:
    return rows.due_turns(head.name, now) if head is not None and head.scheduled else ()


def _turn_of(rows: Rows, agent: str, turn_id: str) -> Turn | None:
    turn = rows.turn(turn_id)
    return turn if turn is not None and turn.spec.agent == agent else None


_LOADS: Mapping[type[Command], Callable[[Rows, Head | None, Any, int], View]] = {
    CreateAgent: _head,
    PatchAgent: _head,
    DeleteAgent: _whole,
    Restore: _head,
    Enqueue: _enqueue,
    Claim: _head_next,
    Append: _head_turn,
    Finish: _head_turn_next,
    Release: _head_next,
    Cancel: _head_turn,
    Pause: _head,
    Resume: _head_next,
    Promote: _head_next,
    Recover: _recover,
    Prune: _oldest,
}
