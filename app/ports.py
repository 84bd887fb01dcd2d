"""The seams of the service: what runtime, streaming and API see of a store, and what a store tells them.

Callers never see SQL, connections or transactions. Every command is one atomic unit. Reads see committed state only.
"""

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple, Protocol, overload

from .access.commands import (
    AccessCommand,
    BeginSession,
    CloseTicket,
    CreateKey,
    Done,
    EndSession,
    IssueTicket,
    KeyReply,
    LogEntry,
    RedeemTicket,
    RevokeKey,
    SessionReply,
    SettleTickets,
    TicketReply,
    UseSession,
)  # fmt: skip
from .access.records import AccessKey, Session, Ticket
from .commands import (
    AgentCommand,
    AgentReply,
    Append,
    Appended,
    Cancel,
    Cancelled,
    Claim,
    Claimed,
    Command,
    Enqueue,
    Enqueued,
    Finish,
    Finished,
    Promote,
    Prune,
    Pruned,
    Recover,
    Release,
)  # fmt: skip
from .model import Begun, Event, Head, ListedAgent, Page, PlacedTurn, Trace, Turn, TurnRef, TurnStatus


class Notice(NamedTuple):
    """What one commit changed on this node. All but ``begun`` are hints: a lost one costs latency, never an event.

    ``ready``: agents with queued turns and no owner. ``scheduled``: agents with turns that wait for their time, be it
    the first or that of another attempt.
    ``cancelling``: running turns that were asked to stop. ``ended``: turns that got their terminal event.
    ``heads``: the rows of the agents that all this is about, as the commit has left them. ``charged``: callers, one for
    each new turn that was made in the course of a turn of theirs.
    """

    events: Sequence[Event] = ()
    begun: Sequence[Begun] = ()
    ready: Sequence[str] = ()
    scheduled: Sequence[str] = ()
    cancelling: Sequence[TurnRef] = ()
    ended: Sequence[Turn] = ()
    heads: Mapping[str, Head] = MappingProxyType({})
    charged: Sequence[str] = ()


class Measures(NamedTuple):
    """How much there is. ``queued`` turns wait in mailboxes, ``scheduled`` ones for their time.

    ``oldest_queued``: since when the queued turn that has waited longest might have begun; those of paused agents are
    not looked at. ``log_bytes``: of what is written before it comes into the database's file.
    """

    agents: int
    paused: int
    queued: int
    scheduled: int
    oldest_queued: int | None
    database_bytes: int = 0
    log_bytes: int = 0


class OldLogs(NamedTuple):
    """``next`` is the cursor of the next page; None: nothing older follows."""

    agents: list[str]
    next: int | None


Listener = Callable[[Notice], None]
"""Called after each commit, on a thread of the store's: it must return at once and never raise."""


class Reads(Protocol):
    """Committed state. ``after`` is an exclusive cursor; lists ascend; ``limit`` is at least 1."""

    async def get_agent(self, name: str) -> ListedAgent | None: ...

    async def list_agents(self, *, prefix: str = "", after: str | None = None, limit: int = 100) -> Page:
        """Agents by name. Items are ``ListedAgent``."""
        ...

    async def get_turn(self, turn_id: str, agent: str | None = None) -> PlacedTurn | None: ...

    async def list_turns(
        self,
        agent: str | None = None,
        *,
        status: TurnStatus | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Turns by acceptance, of one agent or of all. Items are ``PlacedTurn``; ``after`` is a turn's id.

        An ``after`` that names no turn lists nothing.
        """
        ...

    async def read_events(self, agent: str, after: int, limit: int, up_to: int | None = None) -> list[Event]:
        """Events with ``after < seq <= up_to``, at most ``limit``, in order, without a gap.

        The log of a deleted agent can be read to its end until it is purged, also if another agent has its name: the
        answer then ends with ``agent.deleted``, and what follows is the other's.
        """
        ...

    async def read_memory(self, agent: str) -> bytes | None: ...

    async def owned_agents(self) -> list[str]:
        """Agents that have an owner: at start they are those that a node left behind."""
        ...

    async def ready_agents(self, limit: int, after: str = "") -> list[str]:
        """Agents with queued turns, no owner, no pause and no retry to wait for, by name."""
        ...

    async def next_due(self) -> tuple[int, list[str]] | None:
        """When the next scheduled turn or retry is due, and the agents that have one due at that moment or before."""
        ...


class Store(Reads, Protocol):
    """The durable truth. ``execute`` returns a future of the calling loop, done once the transaction is fsynced.

    It fails with a ``ServiceError`` as ``lifecycle.decide`` does, with ``StoreFull`` if there is no space, and with
    ``Unavailable`` once closed. Cancelling the future does not undo the command: what was handed over will be
    committed.
    Commands of one loop are decided in the order of their calls.
    """

    @overload
    def execute(self, command: AgentCommand) -> Future[AgentReply]: ...
    @overload
    def execute(self, command: Enqueue) -> Future[Enqueued]: ...
    @overload
    def execute(self, command: Claim | Release | Promote | Recover) -> Future[Claimed]: ...
    @overload
    def execute(self, command: Append) -> Future[Appended]: ...
    @overload
    def execute(self, command: Finish) -> Future[Finished]: ...
    @overload
    def execute(self, command: Cancel) -> Future[Cancelled]: ...
    @overload
    def execute(self, command: Prune) -> Future[Pruned]: ...
    @overload
    def execute(self, command: CreateKey | RevokeKey) -> Future[KeyReply]: ...
    @overload
    def execute(self, command: IssueTicket | RedeemTicket) -> Future[TicketReply]: ...
    @overload
    def execute(self, command: BeginSession) -> Future[SessionReply]: ...
    @overload
    def execute(self, command: CloseTicket | SettleTickets | UseSession | EndSession | LogEntry) -> Future[Done]: ...
    @overload
    def execute(self, command: AccessCommand) -> Future[Any]: ...
    def execute(self, command: Command) -> Future[Any]: ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` after every commit from now on; the answer is called to end that."""
        ...

    async def all_keys(self) -> list[AccessKey]:
        """Every key that there ever was, by creation."""
        ...

    async def list_keys(self, *, after: str | None = None, limit: int = 100) -> Page:
        """Keys by creation. Items are ``AccessKey``; an ``after`` that names no key lists nothing."""
        ...

    async def list_audit(self, *, after: int = 0, limit: int = 100) -> Page:
        """What admins have done, the oldest first. Items are ``LoggedEntry``; ``after`` is a number."""
        ...

    async def get_ticket(self, digest: bytes) -> Ticket | None:
        """The stream ticket with that SHA-256, void or not."""
        ...

    async def all_sessions(self) -> list[Session]:
        """Browsers that are signed in, void ones included."""
        ...

    async def list_children(self, turn_id: str) -> list[TurnRef]:
        """The turns that this one has sent, put or returned, by acceptance."""
        ...

    async def get_trace(self, turn_id: str) -> Trace | None:
        """What a turn has brought with it; None, too, once the turn is gone."""
        ...

    async def purge(self, deleted_before: int, limit: int) -> int:
        """Remove up to ``limit`` rows of agents that were deleted before that time; how many there were.

        The numbers of their logs stay known. One short transaction: call it again for the rest.
        """
        ...

    async def prunable_agents(self, length: int, limit: int, after: str = "") -> list[str]:
        """Agents with more than ``length`` events, and those of whose logs something is gone, by name.

        Looks at all agents: for a rare sweep.
        """
        ...

    async def old_logs(self, before: int, now: int, after: int = 0) -> OldLogs:
        """A page of agents that have events from before that time. Looks at the oldest events of all only."""
        ...

    async def backup(self) -> BinaryIO:
        """A consistent copy of everything, as a file that is gone when it is closed.

        Raises ``NoBackup`` if what the store has is in no file, and what a write raises if there is no space for it.
        """
        ...

    async def measure(self) -> Measures:
        """Walks all agents: for a rare look."""
        ...

    def pending_seconds(self) -> float:
        """How long the commit under way has taken till now; 0 if there is none. A disk that hangs shows here."""
        ...

    async def check(self) -> None:
        """Raise ``Unavailable`` if the store cannot be read or written now."""
        ...

    async def close(self) -> None:
        """Commit what was handed over, then stop. Further commands are refused."""
        ...
