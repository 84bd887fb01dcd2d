"""What may be done with keys, tickets and sessions, as pure functions of what is stored, the command and the time.

A command that is not allowed raises a ``ServiceError``; nothing is written then.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from ..errors import KeyNotFound, NoAdminKey, TooManyTickets, Unauthorized
from .records import AccessKey, Session, Ticket

SECOND = 1_000_000
OPEN_WITHIN_SECONDS = 60
"""From when it is issued until it has opened its stream."""
RETURN_WITHIN_SECONDS = 600
"""From when its stream was closed until it is opened again."""
LONGEST_LIFE_SECONDS = 100 * 365 * 86_400
"""Of a key that expires."""
MOST_TICKETS = 1_000
"""Of one key that are not void: somebody who asks for tickets without end fills no disk."""
SESSION_SECONDS = 7 * 86_400
"""Of a browser that is signed in, however busy it is."""
IDLE_SECONDS = 12 * 3_600
"""From its last request on: a night, so that who goes home is signed out by the morning."""
MOST_SESSIONS = 100
"""Of one key: so many browsers share it, and somebody who signs in without end fills no disk."""


def create(key: AccessKey, stored: Collection[AccessKey], *, admin_elsewhere: bool, now: int) -> AccessKey:
    """The first key closes the service; without an admin's nobody could make another one over HTTP."""
    has_admin = admin_elsewhere or any(each.administers and each.valid(now) for each in stored)
    if not has_admin and not key.administers:
        raise NoAdminKey(
            "There is no key that may make and revoke keys. Make one first (pygents keys create --scope admin), or set "
            "PYGENTS_ADMIN_KEY."
        )
    return replace(key, created_at=now)


def revoke(key: AccessKey | None, id: str, now: int) -> AccessKey:
    if key is None:
        raise KeyNotFound(f"There is no key with the id {id[:100]!r}. GET /keys lists those that exist.")
    return key if key.revoked_at is not None else replace(key, revoked_at=now)


def issue(ticket: Ticket, held: int, now: int) -> Ticket:
    """``held``: how many tickets of this key are not void."""
    if held >= MOST_TICKETS:
        raise TooManyTickets(
            f"{held} tickets of this key are not used up, which is as many as there may be. Try again later.",
            headers={"Retry-After": str(OPEN_WITHIN_SECONDS)}, limit=MOST_TICKETS,
        )  # fmt: skip
    return replace(ticket, until=now + OPEN_WITHIN_SECONDS * SECOND)


def redeem(ticket: Ticket | None, path: str, agent: str, now: int) -> Ticket:
    """The ticket with its stream open. Another's stream, another agent's or too late: as if there were none."""
    if ticket is None or (ticket.until is not None and now >= ticket.until) or agent not in ticket.agents:
        raise void()
    if ticket.path not in (None, path):
        raise void()
    return replace(ticket, path=path, until=None)


def close(ticket: Ticket, now: int) -> Ticket:
    return replace(ticket, until=now + RETURN_WITHIN_SECONDS * SECOND)


def begin(session: Session, held: Sequence[Session], now: int) -> tuple[Session, Sequence[Session]]:
    """The session as it is now, and those of the same key, of ``held``, that give way to it: the least lately used."""
    end = now + SESSION_SECONDS * SECOND
    until = end if session.until is None else min(session.until, end)
    by_use = sorted(held, key=lambda one: one.used_at)
    return replace(session, until=until, used_at=now), by_use[: max(0, len(held) + 1 - MOST_SESSIONS)]


def is_over(session: Session, now: int) -> bool:
    return session.until is None or now >= session.until or now >= session.used_at + IDLE_SECONDS * SECOND


def void() -> Unauthorized:
    """One answer for all causes: it tells nothing about tickets that are not one's own."""
    return Unauthorized(
        "This ticket does not admit to this stream, or not any more. POST /stream-tickets gives another one.",
        headers={"WWW-Authenticate": "Bearer"},
    )
