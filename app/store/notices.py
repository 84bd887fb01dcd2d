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
    charged: list[str] = []
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
            if turn.spec.parent is not None and (caller := _charged(turn, decision.head, decision)):
                charged.append(caller)
    ready = [name for name, head in heads.items() if head.ready]
    return Notice(events, begun, ready, list(scheduled), cancelling, ended, heads, charged) if heads else None


def _charged(turn: Turn, head: Head, decision: Decision) -> str | None:
    """Whom a turn that has a parent is charged to, in the decision that accepts it and in no later one."""
    asker = turn.spec.asker
    is_new = turn.first_seq > head.latest - len(decision.events)
    return asker.charged if asker is not None and is_new else None
