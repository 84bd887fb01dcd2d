"""What is stored of keys, tickets, sessions and admin actions. Times in microseconds since the epoch, as in ``model``.

No record has a secret in it: of a key, a ticket and a session only the SHA-256 is kept. All are random and long, so
nothing slower is needed (a password would need it).
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from ..grants import Grant, Scope

KEY_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]{0,100}")
"""Without what moves a terminal's cursor or turns the direction of writing: names are listed beside each other."""


class KeyLimits(NamedTuple):
    """How much one key may ask for, where that differs from the settings of these names; None: it does not.

    ``rate`` in requests a second, ``burst`` in requests, ``streams`` open at once. 0: any number (``burst`` is more).
    """

    rate: float | None = None
    burst: int | None = None
    streams: int | None = None


NO_LIMITS = KeyLimits()
MOST_A_SECOND, MOST_AT_ONCE, MOST_STREAMS = 1_000_000, 10**9, 10**9
"""Of ``rate``, ``burst`` and ``streams``, as for the settings."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """``id`` is the part of the key that is no secret. ``damaged``: what is stored is not what was written; it admits
    nobody, but it is there."""

    id: str
    name: str
    digest: bytes
    grants: tuple[Grant, ...]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    damaged: bool = False
    limits: KeyLimits = NO_LIMITS

    def valid(self, now: int) -> bool:
        return not self.damaged and self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def administers(self) -> bool:
        """Whether it may make and revoke keys."""
        return Grant(Scope.ADMIN) in self.grants


@dataclass(frozen=True, slots=True)
class Ticket:
    """Admits to one stream of one of ``agents``. ``key`` is the id of the key that it was issued with.

    ``path`` is that of the stream that it has opened; ``until`` the time at which it is void, None while its stream is
    open.
    """

    digest: bytes
    key: str
    agents: tuple[str, ...]
    until: int | None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in. ``key`` is what it was signed in with, as ``Principal.holder`` names it.

    It is over at ``until`` in any case; ``used_at`` is when its browser was heard of, as far as that is stored. A token
    is not stored, and so ``name`` and ``scopes`` are what it said, with spaces between them; a key knows that itself.
    """

    digest: bytes
    key: str
    until: int | None
    used_at: int = 0
    name: str = ""
    scopes: str = ""


class Actor(NamedTuple):
    """Who did something, and by which request. ``id`` is a key's, a token's subject's, ``admin``, or "" for nobody's.

    ``local``: a command on the machine itself, while nothing was served; it has no address and no request.
    """

    id: str
    name: str
    address: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One admin action for the audit log. ``action`` is the operation's id in the OpenAPI document, ``target`` what it
    was done to; ``details`` are a JSON object, and no secrets."""

    actor: Actor
    action: str
    target: str = ""
    details: str = "{}"


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    number: int
    time: int
    entry: Entry
