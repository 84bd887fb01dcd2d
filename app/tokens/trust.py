"""Whose tokens are trusted, and who a caller with one of them is: claims in, principal out. No cryptography here."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ..access.records import KEY_NAME
from ..auth import Principal
from ..grants import MOST_GRANTS, Grant, parse_grant

SECOND = 1_000_000
LATEST_EXPIRY = 2**40
"""Seconds since the epoch. Nobody means the year 36812, and all arithmetic on what is less is exact."""
MOST_SUBJECT = 255
"""Characters, as OpenID Connect has it."""


class Refused(Exception):
    """A token is not accepted. The message says why, as the end of a sentence that begins with ``The token``."""


@dataclass(frozen=True, slots=True)
class Trust:
    """``issuer`` and ``audience`` are compared as they are, character by character."""

    issuer: str
    audience: str
    scope_claim: str = "scope"

    @property
    def prefix(self) -> str:
        """How the ids of all callers begin for whom this issuer vouches."""
        return f"jwt:{hashlib.sha256(self.issuer.encode()).hexdigest()[:8]}."

    def id_of(self, subject: str) -> str:
        """The same for each token of the subject. Hashed, because a subject may be long, or somebody's address."""
        return self.prefix + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def caller(self, claims: Mapping[str, Any], now: int) -> Principal:
        """Who the token is of, until when, and what it allows. The claims must be verified. Raises ``Refused``.

        There is no leeway in when it ends: that is also when its streams do. Without any scope that is known
        here the caller may do what any key may, which is to read the documentation.
        """
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MOST_SUBJECT:
            raise Refused("has no sub that names a subject")
        until = _end(claims.get("exp"))
        if until <= now:
            raise Refused("has expired")
        shown = subject.isprintable() and KEY_NAME.fullmatch(subject) is not None
        id_, name = self.id_of(subject), subject if shown else ""
        principal = Principal.of(id_, name, grants_of(claims.get(self.scope_claim)))
        return replace(principal, credential=f"{id_}.{until}", until=until)

    def by_credential(self, credential: str, now: int) -> Principal | None:
        """Whom a stream ticket that was made with a token admits, as long as that token would be valid.

        Also after a restart, when the token itself is not known any more. It has no scopes: a ticket was given out by
        those that the token had, for the agents that are in it.
        """
        id_, _, until = credential.rpartition(".")
        if not id_.startswith(self.prefix) or not re.fullmatch(r"[0-9]{1,19}", until) or int(until) <= now:
            return None
        return Principal(id_, "", credential=credential, until=int(until))


def grants_of(claim: object) -> tuple[Grant, ...]:
    """Those of the words of a claim that are scopes here, up to as many as a key may have; others are somebody else's.

    A claim is words with spaces between them (RFC 8693) or an array of words.
    """
    words: Iterable[object] = claim.split(" ") if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    return tuple(islice(_known(words), MOST_GRANTS))


def _known(words: Iterable[object]) -> Iterator[Grant]:
    for word in words:
        try:
            if isinstance(word, str):
                yield parse_grant(word)
        except ValueError:
            continue


def _end(exp: object) -> int:
    """Microseconds since the epoch."""
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not 0 < exp < LATEST_EXPIRY:
        raise Refused("has no exp that is a time")
    return int(exp * SECOND)
