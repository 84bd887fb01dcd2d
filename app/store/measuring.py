"""How much an engine without statements holds: one walk over its agents."""

from collections.abc import Iterable

from ..model import Head, Turn
from ..ports import Measures


def measured(agents: Iterable[tuple[Head, Iterable[Turn]]]) -> Measures:
    """Of agents and the turns in their mailboxes, without the sizes of files."""
    count = paused = queued = scheduled = 0
    since: list[int] = []
    for head, waiting in agents:
        count, paused = count + 1, paused + head.paused
        queued, scheduled = queued + head.queued, scheduled + head.scheduled
        if head.queued and not head.paused:
            since += [_might_begin(turn) for turn in waiting]
    return Measures(count, paused, queued, scheduled, min(since, default=None))


def _might_begin(turn: Turn) -> int:
    """When, at the earliest."""
    return max(turn.created_at, turn.spec.not_before or 0)
