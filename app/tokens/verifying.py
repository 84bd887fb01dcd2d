"""Whether a token is what its issuer has signed. Nothing in it is believed before its signature is right.

What a token says of itself chooses nothing: the algorithms are those of the issuer's key, all of them asymmetric, so
that neither ``none`` nor an HMAC with a public key as its secret (RFC 8725 §2.1) can ever be meant.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt

from .keyset import VerifyingKey
from .trust import Refused, Trust

MOST_BYTES = 16 * 1024
LEEWAY_SECONDS = 60
"""By how much the issuer's clock may be ahead of this one (``nbf``, ``iat``)."""
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
REASONS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "has expired",
    jwt.ImmatureSignatureError: "is not valid yet",
    jwt.InvalidIssuerError: "is of another issuer",
    jwt.InvalidAudienceError: "is for another audience",
    jwt.InvalidSignatureError: "has a signature that is not right",
}
_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Header(NamedTuple):
    """What finds the key: not verified, and used for nothing else."""

    algorithm: str
    kid: str | None


def read_header(token: bytes) -> Header:
    """Raises ``Refused`` for what is no token at all, or one of a kind that is not for here."""
    if len(token) > MOST_BYTES:
        raise Refused(f"has more than {MOST_BYTES} bytes")
    if not _COMPACT.fullmatch(token):
        raise Refused("is not a signed JWT: three parts in base64url with dots between them")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as error:
        raise Refused("cannot be read") from error
    if not header.keys().isdisjoint(("crit", "b64")):
        raise Refused("has a critical extension (crit), of which none is known here")
    if "cty" in header or str(header.get("typ", "JWT")).lower() not in TYPES:
        raise Refused("is not an access token by its typ and cty")
    return Header(str(header.get("alg")), header.get("kid"))


def verify(token: bytes, key: VerifyingKey, trust: Trust) -> dict[str, Any]:
    """Its claims. Raises ``Refused``."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key.key, algorithms=sorted(key.algorithms), issuer=trust.issuer, audience=trust.audience,
            leeway=LEEWAY_SECONDS, options={"require": ["exp", "iss", "aud", "sub"]},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Refused(_why(error)) from error
    return claims


def _why(error: Exception) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"has no {error.claim}"
    return next((reason for kind, reason in REASONS.items() if isinstance(error, kind)), "cannot be read")
