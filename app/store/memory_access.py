"""Keys, tickets, sessions and the audit log in memory. Its lock is that of the engine."""

from dataclasses import replace
from itertools import islice

from ..access.records import AccessKey, Entry, LoggedEntry, Session, Ticket
from ..access.rules import is_over
from ..model import Page


class MemoryAccess:
    """Implements ``access.AccessRows`` and ``access.AccessReads``."""

    def __init__(self) -> None:
        self._keys: dict[str, AccessKey] = {}
        self._tickets: dict[bytes, Ticket] = {}
        self._sessions: dict[bytes, Session] = {}
        self._audit: list[LoggedEntry] = []

    def list_keys(self, after: str | None, limit: int) -> Page:
        if after is not None and after not in self._keys:
            return Page((), None)
        ids = list(self._keys)
        found = list(islice(ids, ids.index(after) + 1 if after is not None else 0, None))
        items = tuple(self._keys[id_] for id_ in found[:limit])
        return Page(items, items[-1].id if len(found) > limit else None)

    def list_audit(self, after: int, limit: int) -> Page:
        items = tuple(self._audit[after : after + limit])
        return Page(items, str(items[-1].number) if len(self._audit) > after + limit else None)

    def key(self, id: str) -> AccessKey | None:
        return self._keys.get(id)

    def add_key(self, key: AccessKey) -> None:
        self._keys[key.id] = key

    def change_key(self, key: AccessKey) -> None:
        self._keys[key.id] = replace(self._keys[key.id], revoked_at=key.revoked_at)

    def ticket(self, digest: bytes) -> Ticket | None:
        return self._tickets.get(digest)

    def put_ticket(self, ticket: Ticket) -> None:
        self._tickets[ticket.digest] = ticket

    def count_tickets(self, key: str) -> int:
        return sum(ticket.key == key for ticket in self._tickets.values())

    def open_tickets(self) -> list[Ticket]:
        return [ticket for ticket in self._tickets.values() if ticket.until is None]

    def drop_tickets(self, now: int) -> None:
        void = [ticket.digest for ticket in self._tickets.values() if ticket.until is not None and ticket.until <= now]
        for digest in void:
            del self._tickets[digest]

    def sessions(self, key: str | None = None) -> list[Session]:
        return [session for session in self._sessions.values() if key in (None, session.key)]

    def session(self, digest: bytes) -> Session | None:
        return self._sessions.get(digest)

    def put_session(self, session: Session) -> None:
        self._sessions[session.digest] = session

    def drop_session(self, digest: bytes) -> bool:
        return self._sessions.pop(digest, None) is not None

    def drop_sessions(self, now: int) -> None:
        self._sessions = {digest: each for digest, each in self._sessions.items() if not is_over(each, now)}

    def drop_all_sessions(self) -> None:
        self._sessions.clear()

    def log(self, entry: Entry, now: int) -> None:
        self._audit.append(LoggedEntry(len(self._audit) + 1, now, entry))
