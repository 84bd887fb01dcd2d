"""What a store shows to the rules, and the checks that several of them make on it."""

from collections.abc import Sequence

from msgspec import Struct

from .. import errors
from ..model import Fence, Head, KeyRecord, PlacedTurn, Turn


class View(Struct, frozen=True, gc=False):
    """What the store has loaded for a command; parts that the command does not need are left out.

    ``next`` is the first queued turn of the mailbox. ``due`` are the scheduled turns whose time has come, ordered by
    it, then by acceptance: they join before anything else joins or begins. ``waiting`` are all turns that have not
    begun, in the mailbox's order, the scheduled ones last. ``prior`` is the record of the command's
    idempotency key with the turns it stands for as they are now. ``sender`` is the head of the agent whose turn sends,
    ``turn`` is then that turn.
    ``oldest`` are (seq, time) of the first events of the log, at least one more than may be removed, if there are so
    many. ``expired`` are ended turns without events that are old enough to go, by acceptance.
    """

    head: Head | None
    turn: Turn | None = None
    next: Turn | None = None
    due: tuple[Turn, ...] = ()
    waiting: tuple[Turn, ...] = ()
    prior: tuple[KeyRecord, tuple[PlacedTurn, ...]] | None = None
    sender: Head | None = None
    oldest: Sequence[tuple[int, int]] = ()
    expired: tuple[str, ...] = ()


def known(head: Head | None, name: str) -> Head:
    if head is None or head.deleted:
        raise errors.AgentNotFound(f"There is no agent named {name!r}. GET /agents lists those that exist.")
    return head


def check_fence(head: Head | None, fence: Fence, turn_id: str | None) -> Head:
    if head is None or (head.node, head.epoch) != fence or head.current != turn_id:
        raise errors.Fenced("The turn is not running under this owner (any more); nothing was written.")
    return head


def check_tool(head: Head, tool: str, pointer: str) -> None:
    if tool not in head.definition.tools:
        accepted = ", ".join(head.definition.tools) or "none"
        raise errors.ToolNotAccepted(
            f"Agent {head.name!r} does not accept tool {tool!r}. It accepts: {accepted}.",
            errors=[{"pointer": pointer, "detail": "not a tool of this agent"}],
        )


def loaded(turn: Turn | None, attempt: int | None = None) -> Turn:
    """``attempt``: the one that it must be in, if that matters."""
    if turn is None:
        raise errors.Fenced("The turn is not stored here; nothing was written.")
    if attempt not in (None, turn.attempt):
        raise errors.Fenced("Another attempt of the turn is running; nothing was written.")
    return turn
