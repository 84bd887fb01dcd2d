"""Rules of retention: how much of an agent's log goes, and which of its ended turns."""

from ..commands import Prune, Pruned
from ..draft import Decision, Draft
from ..model import Head, Turn
from .view import View, known


def prune(view: View, command: Prune, now: int) -> Decision:
    """Move ``earliest``; what lies before it is removed in the same transaction."""
    head = known(view.head, command.agent)
    gone, pinned = _leading(view, head, command)
    turns = view.expired[: (command.rows - gone + 1) // 2]  # each may have an idempotency record
    if not gone and not turns:
        return Decision(Pruned(0, pinned))
    earliest = view.oldest[gone][0] if gone < len(view.oldest) else head.latest + 1
    draft = Draft(head, now)
    draft.change(earliest=earliest, skipped=head.latest - earliest + 1 - (head.length - gone))
    return draft.done(Pruned(gone + len(turns), pinned), pruned=turns)


def _leading(view: View, head: Head, command: Prune) -> tuple[int, bool]:
    """How many of the oldest events may go now, and whether more could but for the running turn."""
    excess, pinned = head.length - command.keep, _pinned(view.turn, head)
    for index, (seq, time) in enumerate(view.oldest[: command.rows]):
        if index >= excess and time >= command.before:
            return index, False
        if pinned is not None and seq >= pinned:
            return index, True
    return min(len(view.oldest), command.rows), False


def _pinned(running: Turn | None, head: Head) -> int | None:
    """The first event that must stay. What went while the turn waited is gone: then its attempt stays."""
    if running is None:
        return None
    return running.first_seq if running.first_seq >= head.earliest else running.started_seq
