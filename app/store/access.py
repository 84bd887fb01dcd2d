"""The transaction script of keys, tickets and the audit log: load, decide by ``access.rules``, save."""

from collections.abc import Callable
from typing import Any, Protocol

from ..access import rules
from ..access.commands import (
    AccessCommand,
    AccessReply,
    Audited,
    CloseTicket,
    CreateKey,
    Done,
    IssueTicket,
    KeyReply,
    LogEntry,
    RedeemTicket,
    RevokeKey,
    SettleTickets,
    TicketReply,
)
from ..access.records import AccessKey, Entry, Ticket
from ..draft import Decision
from ..errors import ServiceError
from ..model import Page

MOST_AT_ONCE = 1_000


class AccessReads(Protocol):
    """Committed state, when it belongs to a snapshot."""

    def list_keys(self, after: str | None, limit: int) -> Page:
        """Keys by creation, those that are void included. Items are ``AccessKey``; ``after`` is an id."""
        ...

    def list_audit(self, after: int, limit: int) -> Page:
        """Items are ``LoggedEntry``, the oldest first; ``after`` is a number."""
        ...

    def ticket(self, digest: bytes) -> Ticket | None:
        """None, too, if what is stored is not what was written."""
        ...


class AccessRows(AccessReads, Protocol):
    """Within the transaction of ``engine.Rows``, whose part it is."""

    def key(self, id: str) -> AccessKey | None: ...

    def add_key(self, key: AccessKey) -> None: ...

    def change_key(self, key: AccessKey) -> None:
        """Only when it was revoked."""
        ...

    def put_ticket(self, ticket: Ticket) -> None: ...

    def count_tickets(self, key: str) -> int: ...

    def open_tickets(self) -> list[Ticket]: ...

    def drop_tickets(self, now: int) -> None:
        """Those that are void."""
        ...

    def log(self, entry: Entry, now: int) -> None: ...


Answer = Decision | Exception
Inner = Callable[[Any], Answer]
"""What decides and saves the command that an ``Audited`` has in it."""


def apply(rows: AccessRows, command: AccessCommand, now: int, inner: Inner) -> Answer:
    """One command in the transaction that is open; a refusal is its answer, and nothing of it is written then."""
    if isinstance(command, Audited):
        answer = inner(command.command)
        if isinstance(answer, Decision):
            rows.log(command.entry, now)
        return answer
    try:
        return Decision(_decide(rows, command, now))
    except ServiceError as refusal:
        return refusal


def all_keys(reads: AccessReads) -> list[AccessKey]:
    found: list[AccessKey] = []
    after: str | None = None
    while True:
        page = reads.list_keys(after, MOST_AT_ONCE)
        found += page.items
        after = page.next
        if after is None:
            return found


def _decide(rows: AccessRows, command: AccessCommand, now: int) -> AccessReply:
    match command:
        case CreateKey():
            return _create(rows, command, now)
        case RevokeKey():
            return _revoke(rows, command, now)
        case IssueTicket():
            rows.drop_tickets(now)
            ticket = rules.issue(command.ticket, rows.count_tickets(command.ticket.key), now)
        case RedeemTicket():
            ticket = rules.redeem(rows.ticket(command.digest), command.path, command.agent_name, now)
        case CloseTicket():
            return _close(rows, command, now)
        case SettleTickets():
            rows.drop_tickets(now)
            for left in rows.open_tickets():
                rows.put_ticket(rules.close(left, now))
            return Done()
        case LogEntry():
            rows.log(command.entry, now)
            return Done()
        case _:
            raise AssertionError(f"no rule for {type(command).__name__}")
    rows.put_ticket(ticket)
    return TicketReply(ticket)


def _create(rows: AccessRows, command: CreateKey, now: int) -> KeyReply:
    key = rules.create(command.key, all_keys(rows), admin_elsewhere=command.admin_elsewhere, now=now)
    rows.add_key(key)
    rows.log(command.entry, now)
    return KeyReply(key)


def _revoke(rows: AccessRows, command: RevokeKey, now: int) -> KeyReply:
    key = rules.revoke(stored := rows.key(command.id), command.id, now)
    if key != stored:
        rows.change_key(key)
    rows.log(command.entry, now)
    return KeyReply(key)


def _close(rows: AccessRows, command: CloseTicket, now: int) -> Done:
    ticket = rows.ticket(command.digest)
    if ticket is not None and ticket.until is None:
        rows.put_ticket(rules.close(ticket, now))
    return Done()
