"""What all runners of a process share."""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from ..errors import ServiceError
from ..model import Begun, Turn
from ..ports import Store
from ..telemetry import Emit, silent
from ..tracing.port import Attempt, Tracing
from .capacity import Capacity
from .encoding import Limits
from .roster import Roster
from .scribe import Scribe
from .submission import Submission


class Equipment(NamedTuple):
    store: Store
    roster: Roster
    submission: Submission
    capacity: Capacity
    limits: Limits
    emit: Emit = silent
    tracing: Tracing | None = None


async def new_attempt(turn: Turn, kit: Equipment, tracing: Tracing) -> Attempt:
    """In the trace that the turn came with. If that cannot be read, in one of its own: no turn fails by it."""
    trace = turn.spec.trace
    if trace is None:
        with suppress(ServiceError):
            trace = await kit.store.get_trace(turn.id)
    return tracing.attempt(trace)


def new_scribe(
    begun: Begun,
    kit: Equipment,
    *,
    lost: Callable[[], object] = lambda: None,
    ended: Callable[[Turn | None], None] = lambda turn: None,
) -> Scribe:
    """One that writes for a begun turn, on the loop that calls."""
    limit = kit.limits.mailbox
    return Scribe(begun, store=kit.store, capacity=kit.capacity, mailbox_limit=limit, lost=lost, ended=ended)
