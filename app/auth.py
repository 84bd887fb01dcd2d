"""Who calls, and what they may do: keys, sent as ``Authorization: Bearer`` or ``X-API-Key``, held in memory.

Keys are few, and every request asks for one: nothing is read from the store on its way. Beside them there may be
tokens of an issuer, as ``Authorization: Bearer`` only.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .access.records import NO_LIMITS, AccessKey, KeyLimits
from .clock import Clock, system_clock
from .grants import Grant, Names, Scope

ADMIN = "admin"
ANONYMOUS = ""
"""Ids of callers that have no stored key. They scope idempotency keys, and cancelled turns name them."""

NOBODYS_STREAMS = "anonymous"
"""What holds the streams of callers without a key: they end when the first key is made."""

SESSION = "session:"
"""How ``Principal.credential`` begins for who comes with the cookie of a browser that is signed in."""

ID = slice(4, 16)
"""Where in a key its id is, which is no secret: ``pyg_``, the id, ``_`` and 256 random bits."""
NO_DIGEST = bytes(32)
NOTHING = Names()


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. ``everything``: may do all there is to do, which is asked first, because it is most of them.

    ``credential`` is what has admitted it, where that is less lasting than the caller: a token, or the session of a
    browser that is signed in; valid ``until`` then.
    ``limits``: how much it may ask for, where that differs from others.
    """

    id: str
    name: str
    everything: bool = False
    scopes: Mapping[Scope, Names] = field(default_factory=dict)
    seen: Names = NOTHING
    credential: str = ""
    until: int | None = None
    limits: KeyLimits = NO_LIMITS

    @property
    def holder(self) -> str:
        """With what its streams and tickets end."""
        return self.credential or self.id

    @property
    def by_session(self) -> bool:
        return self.credential.startswith(SESSION)

    @classmethod
    def of(cls, id: str, name: str, grants: Iterable[Grant], limits: KeyLimits = NO_LIMITS) -> "Principal":
        """What is granted. ``admin`` has all other scopes in it."""
        granted = [(scope, grant.pattern) for grant in grants for scope in Scope if grant.scope in (scope, Scope.ADMIN)]
        scopes = {scope: Names.of(pattern for other, pattern in granted if other is scope) for scope in Scope}
        seen = Names.of(pattern for _, pattern in granted)
        return cls(id, name, scopes[Scope.ADMIN].everything, scopes, seen, limits=limits)

    def names(self, scope: Scope) -> Names:
        """The agents for which the caller has this scope."""
        return EVERY_NAME if self.everything else self.scopes.get(scope, NOTHING)

    def may(self, scope: Scope, agent: str) -> bool:
        return self.everything or agent in self.scopes.get(scope, NOTHING)

    def sees(self, agent: str) -> bool:
        """Whether agents of this name are there for the caller; of others it is not told whether they exist."""
        return self.everything or agent in self.seen


EVERY_NAME = Names(everything=True)
ANYBODY = Principal(ANONYMOUS, "anonymous", everything=True)
SETTINGS_ADMIN = Principal(ADMIN, "PYGENTS_ADMIN_KEY", everything=True)


class Held(NamedTuple):
    """By what an open stream is held, and with what it ends: ids, "" for none.

    A ``ticket`` holds one stream at a time, a ``key`` any number. ``until``: when the key is void, if that is known.
    ``caller`` is whom the stream is counted for.
    """

    key: str = ""
    ticket: str = ""
    caller: str = ""
    until: int | None = None


UNHELD = Held()


def held_by(principal: Principal, ticket: str, caller: str = "") -> Held:
    """The key of the settings is valid as long as the process lives: it holds nothing. A browser's session does."""
    key = "" if principal.holder == ADMIN else principal.holder or NOBODYS_STREAMS
    return Held(key, ticket, caller, principal.until) if key or ticket or caller else UNHELD


class _Known(NamedTuple):
    """A stored key as it is checked: one that is void has a digest that nothing has."""

    digest: bytes
    principal: Principal
    until: int | None


NOBODY = _Known(NO_DIGEST, ANYBODY, None)
"""Whom a credential is compared with that is nobody's: it takes as long."""


class Visitors(Protocol):
    """Callers who have no key here, but a token of an issuer that is trusted."""

    def known(self, digest: bytes) -> Principal | None:
        """Whose token has this SHA-256, if it was verified before and is valid."""
        ...

    def by_credential(self, credential: str) -> Principal | None:
        """The caller whose ``Principal.credential`` this is, if it is valid now."""
        ...


class Gate:
    """Checks credentials. As long as there is no key at all, every caller is ``ANYBODY``.

    Both sides are hashed before they are compared, as bytes: the comparison takes the same time whatever was sent, and
    no sequence of bytes can make it fail. For use on one thread.
    """

    def __init__(self, *, admin_key: str | None, visitors: Visitors | None = None, clock: Clock = system_clock) -> None:
        """With ``visitors`` it is never open: who issues their tokens says who comes in."""
        self._visitors = visitors
        self._digest = hashlib.sha256(admin_key.encode()).digest() if admin_key is not None else None
        self._clock = clock
        self._known: Mapping[bytes, _Known] = {}

    @property
    def open(self) -> bool:
        """A key that was revoked or has expired keeps the service closed: or revoking the last one would open it."""
        return self._digest is None and not self._known and self._visitors is None

    @property
    def has_admin_elsewhere(self) -> bool:
        """Whether there may be admins without a key in the store: by the one in the settings, or by tokens."""
        return self._digest is not None or self._visitors is not None

    def admit(
        self, authorization: Sequence[bytes], x_api_key: Sequence[bytes], *, chosen: bool = True
    ) -> Principal | None:
        """Who sent these header values; None for nobody who is known here.

        Two keys are nobody's, in one header or in both: two readers of the request could disagree on which counts. Of
        tokens only those are known that were verified before. ``chosen``: whether the key that a person has chosen,
        that of the settings, is admitted. It is the only one that could be found by trying; stored keys have 256 random
        bits.
        """
        if self.open:
            return ANYBODY
        given = _credential(authorization, x_api_key)
        if given is None:
            return None
        digest = hashlib.sha256(given).digest()
        if chosen and self._digest is not None and hmac.compare_digest(digest, self._digest):
            return SETTINGS_ADMIN
        known = self._known.get(given[ID], NOBODY)
        if hmac.compare_digest(digest, known.digest):
            return known.principal if known.until is None or self._clock() < known.until else None
        return self._visitors.known(digest) if self._visitors is not None and not x_api_key else None

    def by_holder(self, id: str) -> Principal | None:
        """The caller that has this ``Principal.holder``, if it would be admitted now."""
        if id == ANONYMOUS:
            return ANYBODY if self.open else None
        if id == ADMIN:
            return SETTINGS_ADMIN if self._digest is not None else None
        known = self._known.get(id.encode(), NOBODY)
        if known is NOBODY and self._visitors is not None:
            return self._visitors.by_credential(id)
        valid = known.digest != NO_DIGEST and (known.until is None or self._clock() < known.until)
        return known.principal if valid else None

    def limits(self, id: str) -> KeyLimits:
        """Those of the stored key of this id; none for all other callers."""
        return self._known.get(id.encode(), NOBODY).principal.limits

    def end_of(self, principal: Principal) -> int | None:
        """When what has admitted the caller is void; None: that is not known."""
        return principal.until or self._known.get(principal.id.encode(), NOBODY).until

    def digest_bound(self, token: bytes, holder: str) -> bytes:
        """What is stored of the token of a session or a ticket that is ``holder``'s.

        Where that is the key of the settings, the key is in it: started with another key, the service does not know the
        token. Alone, a hash of a key that a person has chosen could be tried out by whoever reads the database.
        """
        key = self._digest if holder == ADMIN and self._digest is not None else b""
        return hashlib.sha256(token + key).digest()

    def put(self, *keys: AccessKey) -> None:
        """Take note of keys as they are now; a new table takes the place of the one before."""
        self._known = {**self._known, **{key.id.encode(): _known(key) for key in keys}}

    def expired(self) -> list[str]:
        """Ids of the keys whose time is over."""
        now = self._clock()
        return [known.principal.id for known in self._known.values() if known.until is not None and known.until <= now]

    def expires(self) -> bool:
        """Whether the time of any key will be over."""
        now = self._clock()
        return any(known.until is not None and known.until > now for known in self._known.values())


def _known(key: AccessKey) -> _Known:
    void = key.damaged or key.revoked_at is not None
    limits = key.limits if key.limits != NO_LIMITS else NO_LIMITS  # the one, which is asked for by its identity
    principal = Principal.of(key.id, key.name, key.grants, limits)
    return _Known(NO_DIGEST if void else key.digest, principal, key.expires_at)


def new_token() -> tuple[str, str]:
    """The id of a new key, and the key itself, which is nowhere else."""
    id_ = secrets.token_hex(6)
    return id_, f"pyg_{id_}_{secrets.token_hex(32)}"


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def possible_token(authorization: Sequence[bytes], x_api_key: Sequence[bytes]) -> bytes | None:
    """What was sent, if it could be a token: in its own header, once, with two dots in it."""
    given = _credential(authorization, ()) if not x_api_key else None
    return given if given is not None and given.count(b".") == 2 else None


def _credential(authorization: Sequence[bytes], x_api_key: Sequence[bytes]) -> bytes | None:
    match authorization, x_api_key:
        case [value], []:
            scheme, _, key = value.partition(b" ")
            return key.strip() if scheme.lower() == b"bearer" else None
        case [value], [key]:  # of a proxy, perhaps, which asks for a password of its own; but two keys are none
            return key if value.partition(b" ")[0].lower() != b"bearer" else None
        case [], [key]:
            return key
        case _:
            return None
