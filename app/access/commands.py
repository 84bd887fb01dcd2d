"""The writes of keys, tickets, sessions and the audit log, each one atomic unit, and the replies to them."""

from typing import Any, NamedTuple, TypeVar, cast

from msgspec import Struct

from .records import AccessKey, Entry, Session, Ticket

C = TypeVar("C")


class AccessCommand(Struct, frozen=True, gc=False):
    """Base of all. They are about no agent."""

    @property
    def agent(self) -> str:
        return ""


class CreateKey(AccessCommand, frozen=True, gc=False):
    """``admin_elsewhere``: there is a key in the settings, so that a first key need not be an admin's."""

    key: AccessKey
    entry: Entry
    admin_elsewhere: bool = False


class RevokeKey(AccessCommand, frozen=True, gc=False):
    """Again is no error, and changes nothing."""

    id: str
    entry: Entry


class IssueTicket(AccessCommand, frozen=True, gc=False):
    ticket: Ticket


class RedeemTicket(AccessCommand, frozen=True, gc=False):
    """Open the stream at ``path``, of ``agent_name``, with the ticket of that digest, for the first time or again."""

    digest: bytes
    path: str
    agent_name: str


class CloseTicket(AccessCommand, frozen=True, gc=False):
    """Its stream is not open any more: from now on it has its time to come back."""

    digest: bytes


class SettleTickets(AccessCommand, frozen=True, gc=False):
    """A process begins: no stream of the one before is open any more."""


class BeginSession(AccessCommand, frozen=True, gc=False):
    """``replaces``: the digest of the session that its browser had, which ends; b"" for none."""

    session: Session
    entry: Entry | None = None
    replaces: bytes = b""


class UseSession(AccessCommand, frozen=True, gc=False):
    """Its browser was heard of."""

    digest: bytes


class EndSession(AccessCommand, frozen=True, gc=False):
    """Again is no error, changes nothing, and has no entry."""

    digest: bytes
    entry: Entry | None = None


class LogEntry(AccessCommand, frozen=True, gc=False):
    """Of an action that is no command."""

    entry: Entry


class Audited(AccessCommand, frozen=True, gc=False):
    """A command about an agent, and its entry in the audit log: both are committed, or neither.

    A command that is refused leaves no entry. One that changes nothing does: it was asked for, and it was granted.
    """

    command: Any
    entry: Entry

    @property
    def agent(self) -> str:
        return cast(str, self.command.agent)


def audited(command: C, entry: Entry | None) -> C:
    """``command`` with an entry. It is executed as itself, and its reply is its own; so is its type, for callers."""
    return command if entry is None else cast(C, Audited(command, entry))


class KeyReply(NamedTuple):
    key: AccessKey


class TicketReply(NamedTuple):
    ticket: Ticket


class SessionReply(NamedTuple):
    """``ended``: the digests of those that gave way to it."""

    session: Session
    ended: tuple[bytes, ...]


class Done(NamedTuple):
    """It is written."""


AccessReply = KeyReply | TicketReply | SessionReply | Done
