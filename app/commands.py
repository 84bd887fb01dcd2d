"""Every write that the service can ask for, and the replies. A command is frozen and is one atomic unit."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from .access.commands import AccessCommand, AccessReply
from .access.records import Entry
from .errors import ServiceError
from .model import (
    Begun,
    CancelRequest,
    Definition,
    Fence,
    Head,
    KeyRecord,
    Outcome,
    PlacedTurn,
    Turn,
    TurnRef,
    TurnSpec,
)  # fmt: skip


class Starter(NamedTuple):
    """The node that may begin a turn within a command, and the tools whose turns it can begin right now.

    A tool with a lock is not among them: its turn is begun only once the lock is held. ``code_agents`` are the agents
    of the code that the node has; one that is gone from the code stays stored, and its turns wait. ``suspects``: turns
    that were running when a process ended may begin, too; they do so one at a time.
    """

    node: str
    tools: frozenset[str]
    code_agents: frozenset[str] = frozenset()
    suspects: bool = False


class Origin(NamedTuple):
    """The running turn that sends, with the fence that its writes carry."""

    turn: TurnRef
    fence: Fence


class CreateAgent(Struct, frozen=True, gc=False):
    """Code wins: a definition with source ``code`` replaces a stored one; one from the API must be the same or new."""

    definition: Definition

    @property
    def agent(self) -> str:
        return self.definition.name


class Enqueue(Struct, frozen=True, gc=False):
    """Accept turns, all or none; none at all is only a question after the ``record``.

    With ``origin`` it is a send (or a put of a running turn) and is fenced.

    ``batch``: they came as an array, which is what a JSON pointer of a refusal then begins at.
    ``guarded``: whoever asks cares for the agent's put hooks; without it an agent that has some refuses the turns.
    ``code_agents``: as in ``Starter``; an agent of the code that is not among them takes no turns.
    """

    agent: str
    specs: tuple[TurnSpec, ...]
    mailbox_limit: int
    record: KeyRecord | None = None
    origin: Origin | None = None
    starter: Starter | None = None
    guarded: bool = False
    code_agents: frozenset[str] = frozenset()
    batch: bool = False


class Claim(Struct, frozen=True, gc=False):
    """Begin the next turn of an idle agent, if ``starter`` can; with ``turn_id`` only that one. Replies ``Claimed``."""

    agent: str
    starter: Starter
    turn_id: str | None = None


class Append(Struct, frozen=True, gc=False):
    """Log values of the running turn; ``attempt`` as in ``Finish``."""

    agent: str
    turn_id: str
    fence: Fence
    values: tuple[bytes, ...]
    attempt: int | None = None


class Finish(Struct, frozen=True, gc=False):
    """End the running turn, with its last values, and begin the next one. A cancel that was committed first wins.

    A turn that its policy runs again is not ended: it goes back to the head of the mailbox and waits.

    ``hold`` keeps the agent owned, because the turn's code has not stopped; ``Release`` lets it go on. ``attempt`` is
    the one that ends, if it matters: its successor has the same turn, and perhaps the same fence.
    """

    agent: str
    turn_id: str
    fence: Fence
    outcome: Outcome
    values: tuple[bytes, ...] = ()
    memory: bytes | None = None
    returned: TurnSpec | None = None
    mailbox_limit: int = 0
    starter: Starter | None = None
    hold: bool = False
    attempt: int | None = None


class Release(Struct, frozen=True, gc=False):
    """The code of a held agent has stopped: its mailbox goes on."""

    agent: str
    fence: Fence
    starter: Starter | None = None


class Cancel(Struct, frozen=True, gc=False):
    agent: str
    turn_id: str
    request: CancelRequest


class Cascade(NamedTuple):
    """How a cancel goes on to what came of the turn: ``may`` tells of which agents turns may be cancelled, ``entry``
    what the audit log has of one."""

    may: Callable[[str], bool]
    entry: Callable[[TurnRef], Entry | None]


class Pause(Struct, frozen=True, gc=False):
    agent: str


class Resume(Struct, frozen=True, gc=False):
    agent: str
    starter: Starter | None = None


class PatchAgent(Struct, frozen=True, gc=False):
    """``changes`` is a merge patch (RFC 7396) of ``description tools hooks labels``, its shape checked before."""

    agent: str
    changes: Mapping[str, Any]
    code_agents: frozenset[str] = frozenset()


class DeleteAgent(Struct, frozen=True, gc=False):
    """With ``force`` its turns are cancelled, in the name of ``by``; without, an agent that has some stays."""

    agent: str
    by: str
    force: bool = False
    code_agents: frozenset[str] = frozenset()


class Promote(Struct, frozen=True, gc=False):
    """Let the scheduled turns that are due join the mailbox, and the retry that is due begin, if nothing else does."""

    agent: str
    starter: Starter | None = None


class Recover(Struct, frozen=True, gc=False):
    """Take an agent over from a node that is gone: its running turn ends or is retried, its mailbox goes on.

    A turn that was running at ``max_crashes`` ends of processes ends, whatever its policy says.
    """

    agent: str
    starter: Starter | None = None
    max_crashes: int = 3


class Prune(Struct, frozen=True, gc=False):
    """Let the oldest events go, always a prefix of the log: all but the last ``keep``, and those older than ``before``.

    Never those of the running turn. Turns that ended before ``ended_before`` go with their idempotency records once
    none of their events is left. Times in microseconds since the epoch. One slice, of ``rows`` rows at most.
    """

    agent: str
    keep: int
    before: int
    ended_before: int
    rows: int


class Restore(Struct, frozen=True, gc=False):
    """The database was restored from a backup: the agent's log goes on above whatever may have been given out since.

    It jumps to the present time in microseconds, which no log can have come to by counting.
    """

    agent: str


AgentCommand = CreateAgent | PatchAgent | Pause | Resume | DeleteAgent | Restore
Command = (
    AgentCommand | Enqueue | Claim | Append | Finish | Release | Cancel | Promote | Recover | Prune | AccessCommand
)


class GuardNeeded(ServiceError):
    """The answer to ``Enqueue`` when the agent has put hooks that nobody has cared for."""

    type, status, title = "guard-needed", 500, "The agent's hooks come first"

    def __init__(self, definition: Definition) -> None:
        super().__init__(f"Turns for {definition.name!r} must pass its put hooks.")
        self.definition = definition


# --- replies ---------------------------------------------------------------------------------------------------------


class AgentReply(NamedTuple):
    head: Head
    created: bool = False


class Enqueued(NamedTuple):
    """``replayed``: the key was known, the turns are the earlier ones as they are now. ``head``: the agent's, then."""

    turns: tuple[PlacedTurn, ...]
    replayed: bool = False
    head: Head | None = None


class Claimed(NamedTuple):
    """What was begun; if nothing was, ``next`` is the mailbox's next turn, which the starter could not begin."""

    begun: Begun | None
    next: Turn | None = None
    definition: Definition | None = None


class Appended(NamedTuple):
    latest: int


class Finished(NamedTuple):
    turn: Turn
    begun: Begun | None = None
    next: Turn | None = None


class Cancelled(NamedTuple):
    """``asked``: the turn runs, its owner is being told; else it is cancelled already."""

    turn: Turn
    asked: bool


class Pruned(NamedTuple):
    """How many rows have gone; 0 if there is nothing (more) to remove now. ``pinned``: but for the running turn."""

    rows: int
    pinned: bool = False


Reply = AgentReply | Enqueued | Claimed | Appended | Finished | Cancelled | Pruned | AccessReply
