"""Who may come in, and by what: a key or a token in a header, a stream's ticket, a browser's cookie.

What a client has chosen to send counts before what a browser sends by itself: with a ticket or a key the cookie is not
looked at, be they right or wrong.
"""

from collections.abc import Sequence
from functools import partial

from starlette.types import Scope

from ..access.records import NO_LIMITS
from ..auth import Gate, Principal, possible_token
from ..errors import ForeignOrigin, Unauthorized, UnsupportedMediaType
from . import bodies
from .answers import RawHeader
from .cookies import by_https, is_foreign, presented, proves_own
from .heads import Heads
from .presented import is_presented
from .services import Sessions, Tokens
from .turnstile import Turnstile

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SIGN_IN = ("POST", "/session")
NOBODY = Principal("", "nobody")
"""Who has not said yet who it is: it may sign in, and that is all."""
ALONE: tuple[RawHeader, ...] = ((b"cross-origin-resource-policy", b"same-origin"),)
"""On what is answered to a cookie: it is for our own pages, and no other page of the same site may embed it."""


class Entrance:
    def __init__(self, *, gate: Gate, sessions: Sessions, turnstile: Turnstile, tokens: Tokens | None = None) -> None:
        self._gate, self._sessions, self._turnstile, self._tokens = gate, sessions, turnstile, tokens

    def admit(self, scope: Scope, heads: Heads) -> Principal | None:
        """The caller; None if it has sent a ticket, or a token that is not known yet. Raises ``ServiceError``."""
        authorization, x_api_key = heads.get(b"authorization", []), heads.get(b"x-api-key", [])
        ticket = is_presented(scope)
        if ticket and not authorization and not x_api_key:
            return None
        # With a ticket, too, they are two, and nobody's.
        chosen = self._turnstile.may_guess(scope)
        caller = self._gate.admit(authorization, x_api_key, chosen=chosen) if not ticket else None
        if caller is None and not ticket and not x_api_key and _says_nothing(authorization):
            caller = self._without_key(scope, heads)
        if caller is None and (ticket or self._token(heads) is None):
            if x_api_key or not _says_nothing(authorization):
                self._turnstile.guessed(scope)
            raise unauthorized()
        return caller

    async def by_token(self, scope: Scope, heads: Heads) -> Principal | None:
        """The caller with a token that was not known yet; None if there is none. Raises ``ServiceError``."""
        token = self._token(heads)
        return await self._verified(scope, token, self._tokens) if token is not None and self._tokens else None

    async def by_key(self, scope: Scope, key: str) -> Principal:
        """Whose key or token it is, that was sent in a body. Raises ``ServiceError``; a wrong one is counted as such,
        and a right one as a request of its caller.
        """
        caller = await self._of_key(scope, key)
        if self._turnstile.counts or caller.limits is not NO_LIMITS:
            self._turnstile.enter(scope, caller)
        return caller

    async def _of_key(self, scope: Scope, key: str) -> Principal:
        sent = [b"Bearer " + key.encode()]
        caller = self._gate.admit(sent, [], chosen=self._turnstile.may_guess(scope))
        if caller is None and self._tokens is not None and (token := possible_token(sent, [])) is not None:
            return await self._verified(scope, token, self._tokens)
        if caller is None:
            self._turnstile.guessed(scope)
            raise unauthorized()
        return caller

    async def _verified(self, scope: Scope, token: bytes, tokens: Tokens) -> Principal:
        """Wrong ones count as wrong keys: anybody can forge one with a key's real id, and to find out takes the loop
        long.
        """
        try:
            return await tokens.admit(token, may_verify=partial(self._turnstile.check_guess, scope))
        except Unauthorized:
            self._turnstile.guessed(scope)
            raise

    def _without_key(self, scope: Scope, heads: Heads) -> Principal | None:
        if (scope["method"], scope["path"]) == SIGN_IN:
            return NOBODY
        cookie = presented(heads)
        writes = scope["method"] not in SAFE_METHODS
        if cookie is None or (is_foreign(heads) and not writes):
            return None  # as browsers do it for other sites: a page of the same site has no cookie either
        caller = self._sessions.find(cookie.token)
        if caller is not None and writes:
            _check_write(heads, secure=cookie.secure)
        return caller

    def _token(self, heads: Heads) -> bytes | None:
        """One that may be of the issuer. With a ticket there is none, because no header says who calls."""
        if self._tokens is None:
            return None
        return possible_token(heads.get(b"authorization", ()), heads.get(b"x-api-key", ()))


def further_of(principal: Principal) -> tuple[RawHeader, ...]:
    """The headers of its answers, beside those that every answer has."""
    return ALONE if principal.credential and principal.by_session else ()


def foreign(
    detail: str = "With a cookie only pages of this service's own origin may write: their Origin is its address, or "
    "Sec-Fetch-Site says same-origin. A program should send a key.",
) -> ForeignOrigin:
    return ForeignOrigin(detail)


def unauthorized(
    detail: str = "Send a key of the service once, as Authorization: Bearer <key> or X-API-Key: <key>.",
) -> Unauthorized:
    return Unauthorized(detail, headers={"WWW-Authenticate": "Bearer"})


def _check_write(heads: Heads, *, secure: bool) -> None:
    """Raises ``ForeignOrigin``, also for a body that a form could have sent."""
    if not proves_own(heads) or (secure and b"origin" in heads and not by_https(heads)):
        raise foreign()
    if b"transfer-encoding" in heads or list(heads.get(b"content-length", (b"0",))) != [b"0"]:
        try:
            bodies.check_type(heads)
        except UnsupportedMediaType as error:
            raise foreign(f"With a cookie a body must be JSON. {error.detail}") from None


def _says_nothing(authorization: Sequence[bytes]) -> bool:
    """``Basic`` is for a proxy in front: a browser sends that by itself."""
    return not authorization or (len(authorization) == 1 and authorization[0][:6].lower() == b"basic ")
