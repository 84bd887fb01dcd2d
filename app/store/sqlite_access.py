"""Keys, tickets, sessions and the audit log in SQLite: few rows, seldom written, each read and written at once."""

import sqlite3
from collections.abc import Callable

from ..access.records import NO_LIMITS, AccessKey, Actor, Entry, KeyLimits, LoggedEntry, Session, Ticket
from ..access.rules import IDLE_SECONDS, SECOND
from ..errors import Damaged
from ..grants import parse_grant
from ..model import Page
from . import checksums
from .fetching import fetch_all, fetch_one
from .statements import statements

Row = tuple[object, ...]


class SqliteAccess:
    """Implements ``access.AccessRows`` on the writing connection, and ``access.AccessReads`` on a reading one.

    ``tell`` hears of damage that is passed over.
    """

    def __init__(self, db: sqlite3.Connection, *, tell: Callable[[Damaged], None] = lambda damage: None) -> None:
        self._db, self._tell = db, tell
        self._sql = statements()

    def list_keys(self, after: str | None, limit: int) -> Page:
        rows = fetch_all(self._db, self._sql["list_keys"], {"after": after, "limit": limit + 1})
        keys = tuple(self._key(row) for row in rows[:limit])
        return Page(keys, keys[-1].id if len(rows) > limit else None)

    def list_audit(self, after: int, limit: int) -> Page:
        """Raises ``Damaged``."""
        rows = fetch_all(self._db, self._sql["list_audit"], (after, limit + 1))
        entries = tuple(entry_of(row) for row in rows[:limit])
        return Page(entries, str(entries[-1].number) if len(rows) > limit else None)

    def key(self, id: str) -> AccessKey | None:
        row = fetch_one(self._db, self._sql["find_key"], (id,))
        return self._key(row) if row is not None else None

    def add_key(self, key: AccessKey) -> None:
        self._db.execute(self._sql["insert_key"], _key_row(key))

    def change_key(self, key: AccessKey) -> None:
        crc = _key_row(key)[-1]
        self._db.execute(self._sql["update_key"], (key.revoked_at, crc, key.id))

    def ticket(self, digest: bytes) -> Ticket | None:
        row = fetch_one(self._db, self._sql["find_ticket"], (digest,))
        return _ticket_of(row) if row is not None else None

    def put_ticket(self, ticket: Ticket) -> None:
        self._db.execute(self._sql["put_ticket"], _ticket_row(ticket))

    def count_tickets(self, key: str) -> int:
        return int(self._db.execute(self._sql["count_tickets"], (key,)).fetchone()[0])

    def open_tickets(self) -> list[Ticket]:
        found = (_ticket_of(row) for row in fetch_all(self._db, self._sql["list_open_tickets"], ()))
        return [ticket for ticket in found if ticket is not None]

    def drop_tickets(self, now: int) -> None:
        self._db.execute(self._sql["delete_void_tickets"], (now,))

    def sessions(self, key: str | None = None) -> list[Session]:
        name, arguments = ("list_sessions", ()) if key is None else ("list_key_sessions", (key,))
        found = (_session_of(row) for row in fetch_all(self._db, self._sql[name], arguments))
        return [session for session in found if session is not None]

    def session(self, digest: bytes) -> Session | None:
        row = fetch_one(self._db, self._sql["find_session"], (digest,))
        return _session_of(row) if row is not None else None

    def put_session(self, session: Session) -> None:
        self._db.execute(self._sql["put_session"], _session_row(session))

    def drop_session(self, digest: bytes) -> bool:
        return self._db.execute(self._sql["delete_session"], (digest,)).rowcount > 0

    def drop_sessions(self, now: int) -> None:
        self._db.execute(self._sql["delete_void_sessions"], (now, now - IDLE_SECONDS * SECOND))

    def drop_all_sessions(self) -> None:
        self._db.execute(self._sql["delete_sessions"])

    def log(self, entry: Entry, now: int) -> None:
        row = (now, *entry.actor, entry.action, entry.target, entry.details)
        self._db.execute(self._sql["insert_audit"], (*row, checksums.of_parts(*row)))

    def _key(self, row: Row) -> AccessKey:
        """One that is damaged admits nobody, but must be seen: without any key the service would be open."""
        key = key_of(row)
        if key.damaged:
            self._tell(Damaged(f"The key {key.id!r}"))
        return key


def key_of(row: Row) -> AccessKey:
    """Of the columns of ``keys``; one from before there were limits has none."""
    *stored, crc = row
    id_, name, digest, grants, created_at, expires_at, revoked_at, *own = stored
    limits = KeyLimits(*own)  # type: ignore[arg-type]
    try:
        if _key_crc(tuple(stored[:7]), limits) == crc:
            scopes = tuple(parse_grant(text) for text in str(grants).split())
            return AccessKey(
                id_, name, digest, scopes, created_at, expires_at, revoked_at, limits=limits,  # type: ignore[arg-type]
            )  # fmt: skip
    except ValueError:  # a scope of a later version: not to be understood is not to be valid
        pass
    return AccessKey(str(id_), str(name), b"", (), 0, damaged=True)


def entry_of(row: Row) -> LoggedEntry:
    """Raises ``Damaged``."""
    number, *stored, crc = row
    if checksums.of_parts(*stored) != crc:
        raise Damaged(f"Entry {number} of the audit log")
    time, actor, name, address, request_id, action, target, details = stored
    entry = Entry(Actor(actor, name, address, request_id), action, target, details)  # type: ignore[arg-type]
    return LoggedEntry(number, time, entry)  # type: ignore[arg-type]


def _key_row(key: AccessKey) -> Row:
    grants = " ".join(map(str, key.grants))
    row = (key.id, key.name, key.digest, grants, key.created_at, key.expires_at, key.revoked_at)
    rate, *others = key.limits
    limits = KeyLimits(float(rate) if rate is not None else None, *others)  # as it is read back
    return (*row, *limits, _key_crc(row, limits))


def _key_crc(row: Row, limits: KeyLimits) -> int:
    """Of one without limits it is what it was before there were any."""
    return checksums.of_parts(*row, *(limits if limits != NO_LIMITS else ()))


def _ticket_row(ticket: Ticket) -> Row:
    row = (ticket.digest, ticket.key, " ".join(ticket.agents), ticket.until, ticket.path)
    return (*row, checksums.of_parts(*row))


def _ticket_of(row: Row) -> Ticket | None:
    *stored, crc = row
    if checksums.of_parts(*stored) != crc:
        return None
    digest, key, agents, until, path = stored
    return Ticket(digest, key, tuple(str(agents).split()), until, path)  # type: ignore[arg-type]


def _session_row(session: Session) -> Row:
    row = (session.digest, session.key, session.until, session.used_at, session.name, session.scopes)
    return (*row, checksums.of_parts(*row))


def _session_of(row: Row) -> Session | None:
    *stored, crc = row
    return Session(*stored) if checksums.of_parts(*stored) == crc else None  # type: ignore[arg-type]
