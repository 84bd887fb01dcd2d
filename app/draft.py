"""One decision in the making: the steps that the rules of ``lifecycle`` share, and every legal move of a turn.

A draft takes an agent's head and collects what is to be written: the head as it will be, the turns, the events. It
numbers the events, so that the log is gapless by construction, and refuses any move of a turn that is not in ``MOVES``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from . import payloads
from .commands import Reply, Starter
from .model import (
    Begun,
    CancelRequest,
    Definition,
    Event,
    EventType,
    Fence,
    Head,
    KeyRecord,
    Outcome,
    Turn,
    TurnRef,
    TurnSpec,
    TurnStatus,
)  # fmt: skip
from .retries import is_early

MOVES: Mapping[TurnStatus, frozenset[TurnStatus]] = {
    TurnStatus.SCHEDULED: frozenset({TurnStatus.QUEUED, TurnStatus.CANCELLED}),
    TurnStatus.QUEUED: frozenset({TurnStatus.RUNNING, TurnStatus.CANCELLED}),
    TurnStatus.RUNNING: frozenset(
        {TurnStatus.QUEUED, TurnStatus.COMPLETED, TurnStatus.TIMEOUT, TurnStatus.ERROR, TurnStatus.CANCELLED},
    ),
    TurnStatus.COMPLETED: frozenset(),
    TurnStatus.TIMEOUT: frozenset(),
    TurnStatus.ERROR: frozenset(),
    TurnStatus.CANCELLED: frozenset(),
}
"""Every legal move of a turn. A move that is not here is a defect of this module, never of a client."""


class Decision(Struct, frozen=True, gc=False):
    """What to write in one transaction, and the answer. ``cancelling``: a running turn whose owner must stop it.

    ``pruned``: events before the head's ``earliest`` are to be removed, and these turns; None: neither.
    """

    reply: Reply
    head: Head | None = None
    turns: tuple[Turn, ...] = ()
    events: tuple[Event, ...] = ()
    record: KeyRecord | None = None
    memory: bytes | None = None
    begun: Begun | None = None
    cancelling: TurnRef | None = None
    pruned: tuple[str, ...] | None = None


class Draft:
    """One decision in the making: the head as it will be, the turns and events so far. Lives for one ``decide``."""

    def __init__(self, head: Head, now: int) -> None:
        self.head, self.now = head, now
        self.turns: dict[str, Turn] = {}
        self.events: list[Event] = []
        self.begun: Begun | None = None

    def log(self, type_: EventType, data: bytes, turn_id: str | None = None, attempt: int | None = None) -> int:
        seq = self.head.latest + len(self.events) + 1
        self.events.append(Event(self.head.name, seq, type_, turn_id, attempt, self.now, data))
        return seq

    def change(self, **changes: Any) -> None:
        self.head = replace(self.head, **changes)

    def move(self, turn: Turn, status: TurnStatus, **changes: Any) -> Turn:
        if status not in MOVES[turn.status]:
            raise AssertionError(f"illegal move of turn {turn.id}: {turn.status} to {status}")
        self.turns[turn.id] = moved = replace(turn, status=status, **changes)
        return moved

    def done(self, reply: Reply, **parts: Any) -> Decision:
        turns, events = tuple(self.turns.values()), tuple(self.events)
        return Decision(reply, self.final(), turns, events, begun=self.begun, **parts)

    def final(self) -> Head:
        """The head with the events so far counted in."""
        return replace(self.head, latest=self.head.latest + len(self.events)) if self.events else self.head

    # --- steps that several rules share ------------------------------------------------------------------------------

    def accept(self, spec: TurnSpec) -> Turn:
        """Log a new turn as queued and let it join the mailbox, now or when it is due."""
        seq = self.log(EventType.TURN_QUEUED, payloads.queued(spec), spec.id, 0)
        turn = Turn(spec, TurnStatus.SCHEDULED, self.now, seq, seq)
        if spec.not_before is not None and spec.not_before > self.now:
            self.change(scheduled=self.head.scheduled + 1)
            self.turns[turn.id] = turn
            return turn
        return self.join(turn)

    def join(self, turn: Turn) -> Turn:
        position = self.head.joined + 1
        self.change(joined=position, queued=self.head.queued + 1)
        return self.move(turn, TurnStatus.QUEUED, position=position)

    def join_due(self, due: Sequence[Turn], first: Turn | None) -> Turn | None:
        """Let turns whose time has come join; ``first`` is the mailbox's first turn, returned is what it is then.

        Before anything else joins or begins: a timer that is late must not put them behind what was accepted later.
        """
        if not due:
            return first
        self.change(scheduled=self.head.scheduled - len(due))
        joined = [self.join(turn) for turn in due]
        return first or joined[0]

    def start(self, turn: Turn | None, starter: Starter | None, fence: Fence | None = None) -> bool:
        """Begin ``turn`` if the starter can, as its new owner or (with ``fence``) as the one it is already."""
        if turn is None or starter is None or self.head.paused or not self._can_begin(turn, starter):
            return False
        fence = fence or Fence(starter.node, self.head.epoch + 1)
        attempt = turn.attempt + 1
        seq = self.log(EventType.TURN_STARTED, b"{}", turn.id, attempt)
        running = self.move(
            turn, TurnStatus.RUNNING, attempt=attempt, start_time=self.now, started_seq=seq, last_seq=seq, retry_at=None
        )
        self.change(
            node=fence.node, epoch=fence.epoch, current=turn.id,
            queued=self.head.queued - 1, begun=turn.position, retry_at=None,
        )  # fmt: skip
        self.begun = Begun(running, fence, self.head.definition)
        return True

    def _can_begin(self, turn: Turn, starter: Starter) -> bool:
        """A turn whose tool was taken from the agent begins wherever it may: it is there to fail."""
        definition = self.head.definition
        if is_gone(definition, starter.code_agents) or (turn.crashes and not starter.suspects):
            return False
        if self.head.retry_at is not None and is_early(turn, self.head.retry_at, self.now):
            return False
        return turn.spec.tool in starter.tools or turn.spec.tool not in definition.tools

    def append(self, turn: Turn, values: tuple[bytes, ...]) -> Turn:
        for index, value in enumerate(values, start=turn.values):
            self.log(EventType.TURN_VALUE, payloads.value(index, value), turn.id, turn.attempt)
        last = self.events[-1].seq if values else turn.last_seq
        self.turns[turn.id] = appended = replace(turn, values=turn.values + len(values), last_seq=last)
        return appended

    def requeue(self, turn: Turn, outcome: Outcome, at: int) -> Turn:
        """Put a turn whose attempt failed back to the head of the mailbox, to be begun again at ``at``.

        One that was only interrupted, to shut down, waits for nothing but a node.
        """
        supersedes = [(turn.started_seq + 1, turn.last_seq)] if turn.values else []
        data = payloads.retrying(outcome.passing or _cause(turn, outcome), at, supersedes)
        seq = self.log(EventType.TURN_RETRYING, data, turn.id, turn.attempt)
        position, spared = turn.position or 0, turn.spared + outcome.spares_attempt
        wait = None if outcome.spares_attempt else at
        self.change(queued=self.head.queued + 1, begun=position - 1, retry_at=wait)
        return self.move(turn, TurnStatus.QUEUED, last_seq=seq, retry_at=wait, values=0, spared=spared)

    def end(self, turn: Turn, outcome: Outcome, returned: str | None = None) -> Turn:
        """Write the one terminal event of a turn. A cancel that was committed before wins over any other outcome.

        The clock may have been set back since the turn began; it does not end before that.
        """
        if turn.cancel is not None:
            outcome = Outcome(TurnStatus.CANCELLED)
        seq = self.log(*_terminal(turn, outcome, returned), turn.id, turn.attempt)
        if outcome.status in (TurnStatus.ERROR, TurnStatus.TIMEOUT):
            self.change(last_error=_last_error(turn, outcome, self.now))
        end_time = max(self.now, turn.start_time or 0)
        return self.move(
            turn, outcome.status, last_seq=seq, end_time=end_time, output=outcome.output, error=outcome.error
        )


def is_gone(definition: Definition, code_agents: frozenset[str]) -> bool:
    """Whether this is an agent of the code that the code does not have any more."""
    return definition.source == "code" and definition.name not in code_agents


def _terminal(turn: Turn, outcome: Outcome, returned: str | None) -> tuple[EventType, bytes]:
    match outcome.status:
        case TurnStatus.COMPLETED:
            return EventType.TURN_COMPLETED, payloads.completed(outcome, turn.values, returned)
        case TurnStatus.ERROR:
            return EventType.TURN_ERROR, payloads.failed(outcome.error)
        case TurnStatus.TIMEOUT:
            return EventType.TURN_TIMEOUT, payloads.timed_out(turn.spec.timeout)
        case TurnStatus.CANCELLED:
            return EventType.TURN_CANCELLED, payloads.cancelled(turn.cancel or CancelRequest("service", None))
        case other:
            assert_never(other)


def _last_error(turn: Turn, outcome: Outcome, now: int) -> bytes:
    members = {"turn_id": payloads.text(turn.id), "time": payloads.moment(now), "error": _cause(turn, outcome)}
    return payloads.members(members)


def _cause(turn: Turn, outcome: Outcome) -> bytes:
    return outcome.error or payloads.error("timeout", f"The turn did not end within {turn.spec.timeout:g} s.")
