"""The records of the service: agents, turns, events. All frozen, none knows how to do I/O.

Times are integers: microseconds since the Unix epoch, UTC. ``args``, ``kwargs``, ``metadata``, ``output``, ``error``,
``memory`` and an event's ``data`` are opaque JSON bytes, encoded once where they arise and never decoded by a store.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from pygents_core.tool import Retry

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Names of agents. The dot is kept free."""


class TurnStatus(StrEnum):
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    TIMEOUT = "timeout"
    ERROR = "error"
    CANCELLED = "cancelled"


ENDED = frozenset({TurnStatus.COMPLETED, TurnStatus.TIMEOUT, TurnStatus.ERROR, TurnStatus.CANCELLED})
"""The statuses that are stop reasons: a turn in one of them never changes again."""


class EventType(StrEnum):
    AGENT_CREATED = "agent.created"
    AGENT_UPDATED = "agent.updated"
    AGENT_PAUSED = "agent.paused"
    AGENT_RESUMED = "agent.resumed"
    AGENT_DELETED = "agent.deleted"
    AGENT_RESTORED = "agent.restored"
    TURN_QUEUED = "turn.queued"
    TURN_STARTED = "turn.started"
    TURN_VALUE = "turn.value"
    TURN_RETRYING = "turn.retrying"
    TURN_COMPLETED = "turn.completed"
    TURN_TIMEOUT = "turn.timeout"
    TURN_ERROR = "turn.error"
    TURN_CANCELLED = "turn.cancelled"


TERMINAL = frozenset({EventType.TURN_COMPLETED, EventType.TURN_TIMEOUT, EventType.TURN_ERROR, EventType.TURN_CANCELLED})
"""Exactly one event of these types ends every turn."""


# --- records ---------------------------------------------------------------------------------------------------------
# What is made for every turn is a struct of msgspec: a frozen dataclass takes ten times as long to make or to replace.
# The garbage collector need not look at them: what is frozen and holds plain values is in no cycle.


class Fence(NamedTuple):
    """Who owns an agent: carried by every owner write, compared with the stored one before anything is written."""

    node: str
    epoch: int


class TurnRef(NamedTuple):
    agent: str
    id: str


class Definition(Struct, frozen=True, gc=False):
    """What an agent is, apart from its state. ``hooks`` maps a hook type's value to registered names."""

    name: str
    description: str = ""
    tools: tuple[str, ...] = ()
    hooks: Mapping[str, tuple[str, ...]] = {}
    labels: Mapping[str, str] = {}
    memory_limit: int | None = None
    source: Literal["code", "api"] = "api"


class Head(Struct, frozen=True, gc=False):
    """An agent's row: its definition and the counters on which every decision rests.

    ``joined`` is the last mailbox position given out; ``begun`` the position up to which nothing is queued any more
    but what was cancelled there: the next turn is the first queued one beyond it. ``latest`` is the last seq.
    ``retry_at``: the next turn waits until then for another attempt, and all others behind it.
    ``earliest`` is the first seq that is retained (``latest`` + 1 if none is); ``skipped`` counts those from there on
    that were never given out, because a restore has jumped over them.
    What is left of a deleted agent is its row: the numbers of its log are never given out again.
    """

    definition: Definition
    created_at: int
    updated_at: int
    paused: bool = False
    node: str | None = None
    epoch: int = 0
    current: str | None = None
    queued: int = 0
    scheduled: int = 0
    joined: int = 0
    begun: int = 0
    earliest: int = 1
    latest: int = 0
    retry_at: int | None = None
    last_error: bytes | None = None
    deleted_at: int | None = None
    skipped: int = 0

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def ready(self) -> bool:
        """Its next turn can be claimed."""
        return self.queued > 0 and self.idle and not self.paused and self.retry_at is None

    @property
    def length(self) -> int:
        """How many events are retained."""
        return self.latest - self.earliest + 1 - self.skipped

    @property
    def idle(self) -> bool:
        """Nobody owns it: a turn of its mailbox may begin, unless it is paused."""
        return self.node is None and self.current is None


class Trace(NamedTuple):
    """Where in a trace a turn was made: ``traceparent`` and ``tracestate`` of W3C Trace Context."""

    parent: str
    state: str = ""


class Asker(NamedTuple):
    """Who has asked for the root of a chain of turns: the id of the ``request``, and whom the rest is ``charged`` to.

    That is a caller as rates count them, or None where they count nothing.
    """

    request: str
    charged: str | None = None


class TurnSpec(Struct, frozen=True, gc=False):
    """What was asked for and never changes. ``timeout`` in seconds; ``hops`` counts sends from the root.

    ``asker`` is that of the chain's root; None: no request has, but code outside any turn.

    ``retry_of``: the ended turn of the same agent that this one repeats. ``trace`` is kept apart by a store, and may be
    missing in what is read back: few turns have one.
    """

    id: str
    agent: str
    tool: str
    args: bytes = b"[]"
    kwargs: bytes = b"{}"
    metadata: bytes = b"{}"
    timeout: float = 60.0
    not_before: int | None = None
    parent: TurnRef | None = None
    root: str | None = None
    hops: int = 0
    retry: Retry | None = None
    retry_of: str | None = None
    trace: Trace | None = None
    asker: Asker | None = None


class CancelRequest(NamedTuple):
    by: str
    reason: str | None


class Turn(Struct, frozen=True, gc=False):
    """A turn's row: the spec and where it stands. ``first_seq``..``last_seq`` is the range of its events in the log.

    ``attempt`` counts its begins, ``spared`` those of them that do not count against its policy, ``crashes`` those in
    which the process ended. ``started_seq`` is the last begin in the log, ``values`` are those of that attempt.
    ``damaged``: what is stored of it is not what was written.
    """

    spec: TurnSpec
    status: TurnStatus
    created_at: int
    first_seq: int
    last_seq: int
    position: int | None = None
    attempt: int = 0
    start_time: int | None = None
    end_time: int | None = None
    values: int = 0
    output: bytes | None = None
    error: bytes | None = None
    cancel: CancelRequest | None = None
    started_seq: int = 0
    retry_at: int | None = None
    spared: int = 0
    crashes: int = 0
    damaged: bool = False

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def ref(self) -> TurnRef:
        return TurnRef(self.spec.agent, self.spec.id)

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class PlacedTurn(Struct, frozen=True, gc=False):
    """A turn as read back, with its place in the mailbox (1 = next; None unless queued)."""

    turn: Turn
    place: int | None = None


class Event(Struct, frozen=True, gc=False):
    """An immutable fact of one agent's log."""

    agent: str
    seq: int
    type: EventType
    turn_id: str | None
    attempt: int | None
    time: int
    data: bytes


class KeyRecord(NamedTuple):
    """An idempotency record: which turns a caller's key stands for. ``digest`` is of the body as parsed JSON."""

    agent: str
    caller: str
    key: str
    digest: bytes
    turn_ids: tuple[str, ...]


class Outcome(Struct, frozen=True, gc=False):
    """How an execution ended. ``output`` and ``error`` are JSON.

    ``interrupted``: by the end of the process; ``spares_attempt``: the service wanted it so, to shut down.
    ``passing``: the error as it is told if the turn is run again, where that is another one.
    """

    status: Literal[TurnStatus.COMPLETED, TurnStatus.TIMEOUT, TurnStatus.ERROR, TurnStatus.CANCELLED]
    output: bytes | None = None
    error: bytes | None = None
    interrupted: bool = False
    spares_attempt: bool = False
    passing: bytes | None = None


class Begun(NamedTuple):
    """A turn that was begun in a committed transaction: its owner must execute it."""

    turn: Turn
    fence: Fence
    definition: Definition


class Page(Struct, frozen=True, gc=False):
    """One page of a list. ``next`` is the cursor of the next page, None at the end."""

    items: tuple[Any, ...]
    next: str | None


class ListedAgent(NamedTuple):
    """An agent as read back, with the time at which the oldest of its queued turns was accepted."""

    head: Head
    oldest_queued_at: int | None
