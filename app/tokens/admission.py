"""Lets callers in by tokens. A token is verified once; from then on its digest is known, until it expires."""

import hashlib
import logging
from collections.abc import Callable

from ..auth import Principal
from ..clock import Clock, system_clock
from ..errors import Unauthorized, Unavailable
from .keyring import Keyring
from .keyset import KeySet, VerifyingKey
from .trust import Refused, Trust
from .verifying import Header, read_header, verify

MOST_KNOWN = 10_000
"""Tokens that are kept verified. Of more, the one that was verified first is verified anew when it comes again."""
RETRY_AFTER_SECONDS = 5
log = logging.getLogger(__name__)


class Tokens:
    """For one loop. What has been verified counts as long as the issuer's keys are those it was verified with."""

    def __init__(self, *, trust: Trust, keyring: Keyring, clock: Clock = system_clock, most: int = MOST_KNOWN) -> None:
        self._trust, self._keyring, self._clock, self._most = trust, keyring, clock, most
        self._known: dict[bytes, Principal] = {}
        self._known_by: KeySet | None = None

    def start(self) -> None:
        self._keyring.start()

    async def stop(self) -> None:
        await self._keyring.stop()

    def known(self, digest: bytes) -> Principal | None:
        """Whose token has this SHA-256, if it was verified before and is valid."""
        principal = self._known.get(digest)
        if principal is None:
            return None
        if self._known_by is not self._keyring.keys or (principal.until or 0) <= self._clock():
            del self._known[digest]
            return None
        return principal

    def by_credential(self, credential: str) -> Principal | None:
        """Whom a ticket admits that was made with a token, if that is valid now."""
        return self._trust.by_credential(credential, self._clock())

    async def admit(self, token: bytes, *, may_verify: Callable[[], None] = lambda: None) -> Principal:
        """Verify a token that is not known. Waits only where the issuer's keys have to be fetched for it.

        ``may_verify`` is called before its signature is looked at, which takes long, and after the last wait; what it
        raises is raised. Raises ``Unauthorized``; ``Unavailable`` while there never were any keys, which is not the
        token's fault: a client that was told 401 would throw it away and get another, which could not be verified
        either.
        """
        try:
            header = read_header(token)
            key = await self._key(header)
            may_verify()
            principal = self._trust.caller(verify(token, key, self._trust), self._clock())
        except Refused as refusal:
            log.debug("a token is refused: it %s", refusal)
            raise Unauthorized(
                f"The token {refusal}.", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
            ) from None
        self._remember(hashlib.sha256(token).digest(), principal)
        return principal

    async def _key(self, header: Header) -> VerifyingKey:
        if (key := self._find(header)) is None:
            await self._keyring.renewed()
            key = self._find(header)
        if self._keyring.keys is None:
            raise Unavailable(
                "The keys of the issuer of tokens could not be fetched yet. Send the request again.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        if key is None:
            raise Refused("names no key of the issuer that is for its algorithm (kid, alg)")
        return key

    def _find(self, header: Header) -> VerifyingKey | None:
        keys = self._keyring.keys
        return keys.find(header.kid, header.algorithm) if keys is not None else None

    def _remember(self, digest: bytes, principal: Principal) -> None:
        if self._known_by is not self._keyring.keys:
            self._known.clear()
            self._known_by = self._keyring.keys
        elif len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[digest] = principal
