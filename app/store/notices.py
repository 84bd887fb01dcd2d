"""What a commit tells its listeners, read off the decisions that it wrote."""

from collections.abc import Iterable

from ..draft import Decision
from ..model import Begun, Event, Head, Turn, TurnRef, TurnStatus
from ..ports import Notice


def notice_of(decisions: Iterable[Decision]) -> Notice | None:
    """One notice for a batch, its parts in the order of the commit; None if nothing was written."""
    events: list[Event] = []
    begun: list[Begun] = []
    cancelling: list[TurnRef] = []
    ended: list[Turn] = []
    heads: dict[str, Head] = {}
    scheduled: dict[str, None] = {}
    for decision in decisions:
        if decision.head is None:
            continue
        heads[decision.head.name] = decision.head
        if decision.head.retry_at is not None:
            scheduled[decision.head.name] = None
        events += decision.events
        if decision.begun is not None:
            begun.append(decision.begun)
        if decision.cancelling is not None:
            cancelling.append(decision.cancelling)
        for turn in decision.turns:
            if turn.ended:
                ended.append(turn)
            elif turn.status is TurnStatus.SCHEDULED:  # a turn is written in this status only when it is accepted
                scheduled[turn.spec.agent] = None
    ready = [name for name, head in heads.items() if head.ready]
    return Notice(events, begun, ready, list(scheduled), cancelling, ended, heads) if heads else None
