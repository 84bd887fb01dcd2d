"""The transaction script of keys, tickets, sessions and the audit log: load, decide by ``access.rules``, save."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from ..access import rules
from ..access.commands import (
    AccessCommand,
    AccessReply,
    Audited,
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
)
from ..access.records import AccessKey, Entry, Session, Ticket
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

    def sessions(self, key: str | None = None) -> list[Session]:
        """Of that key, or all, void or not, by their beginning; but for those that are not what was written."""
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

    def session(self, digest: bytes) -> Session | None: ...

    def put_session(self, session: Session) -> None: ...

    def drop_session(self, digest: bytes) -> bool:
        """Whether there was one."""
        ...

    def drop_sessions(self, now: int) -> None:
        """Those that are void."""
        ...

    def drop_all_sessions(self) -> None: ...

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
        case _:
            return _decide_rest(rows, command, now)
    rows.put_ticket(ticket)
    return TicketReply(ticket)


def _decide_rest(rows: AccessRows, command: AccessCommand, now: int) -> AccessReply:
    match command:
        case BeginSession():
            return _begin(rows, command, now)
        case UseSession():
            session = rows.session(command.digest)
            if session is not None and not rules.is_over(session, now):
                rows.put_session(replace(session, used_at=now))
        case EndSession():
            if rows.drop_session(command.digest) and command.entry is not None:
                rows.log(command.entry, now)
        case LogEntry():
            rows.log(command.entry, now)
        case _:
            raise AssertionError(f"no rule for {type(command).__name__}")
    return Done()


def _create(rows: AccessRows, command: CreateKey, now: int) -> KeyReply:
    key = rules.create(command.key, all_keys(rows), admin_elsewhere=command.admin_elsewhere, now=now)
    rows.add_key(key)
    rows.log(command.entry, now)
    return KeyReply(key)


def _revoke(rows: AccessRows, command: RevokeKey, now: int) -> KeyReply:
    key = rules.revoke(stored := rows.key(command.id), command.id, now)
    if key != stored:
        rows.change_key(key)
    for session in rows.sessions(key.id):
        rows.drop_session(session.digest)
    rows.log(command.entry, now)
    return KeyReply(key)


def _close(rows: AccessRows, command: CloseTicket, now: int) -> Done:
    ticket = rows.ticket(command.digest)
    if ticket is not None and ticket.until is None:
        rows.put_ticket(rules.close(ticket, now))
    return Done()


def _begin(rows: AccessRows, command: BeginSession, now: int) -> SessionReply:
    rows.drop_sessions(now)
    replaced = (command.replaces,) if command.replaces and rows.drop_session(command.replaces) else ()
    session, ended = rules.begin(command.session, rows.sessions(command.session.key), now)
    for each in ended:
        rows.drop_session(each.digest)
    rows.put_session(session)
    if command.entry is not None:
        rows.log(command.entry, now)
    return SessionReply(session, (*replaced, *(each.digest for each in ended)))
