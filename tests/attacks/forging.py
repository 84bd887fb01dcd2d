"""Tokens that nobody has issued, by somebody who knows all that is public."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from jwt.algorithms import HMACAlgorithm

from tests.attacks import hostile
from tests.issuer import OTHER_RSA_KEY, RSA_KEY, Issuer, jwk, part, public_pem, signed

SCOPES = "admin turns:write agents:read"
HEADER = {"alg": "RS256", "kid": "first", "typ": "JWT"}
Claims = dict[str, Any]


def forged(dice: Random, issuer: Issuer) -> str:
    kind = dice.choice(list(FORGERIES))
    return FORGERIES[kind](dice, issuer, issuer.claims(SCOPES))


def _unsigned(dice: Random, issuer: Issuer, claims: Claims) -> str:
    algorithm = dice.choice(("none", "None", "NONE", "", "HS256", "RS256"))
    return f"{part({**HEADER, 'alg': algorithm})}.{part(claims)}."


def _shared(dice: Random, issuer: Issuer, claims: Claims) -> str:
    text = f"{part({**HEADER, 'alg': 'HS256'})}.{part(claims)}"
    return f"{text}.{part(HMACAlgorithm(HMACAlgorithm.SHA256).sign(text.encode(), public_pem(RSA_KEY)))}"


def _brought(dice: Random, issuer: Issuer, claims: Claims) -> str:
    own = {"jwk": jwk(OTHER_RSA_KEY), "jku": f"{issuer.url}/keys", "x5u": issuer.url, "crit": ["exp"]}
    name = dice.choice(list(own))
    return signed({**HEADER, name: own[name]}, claims, OTHER_RSA_KEY)


def _elsewhere(dice: Random, issuer: Issuer, claims: Claims) -> str:
    name, value = dice.choice((("iss", "https://evil.example"), ("aud", "another"), ("exp", 1), ("nbf", 2**40)))
    return signed(HEADER, {**claims, name: value})


def _boundless(dice: Random, issuer: Issuer, claims: Claims) -> str:
    missing = dice.choice(("exp", "iss", "aud"))
    return signed(HEADER, {name: claim for name, claim in claims.items() if name != missing})


def _rewritten(dice: Random, issuer: Issuer, claims: Claims) -> str:
    head, _, signature = signed(HEADER, issuer.claims("stream:read@nobody-*")).split(".")
    return f"{head}.{part(claims)}.{signature}"


FORGERIES: Mapping[str, Callable[[Random, Issuer, Claims], str]] = {
    "unsigned": _unsigned,
    "signed with the public key, as if it were a secret that is shared": _shared,
    "signed with another key": lambda dice, issuer, claims: signed(HEADER, claims, OTHER_RSA_KEY),
    "with a key of its own, in it or where it says": _brought,
    "with a strange name of its key": lambda dice, issuer, claims: signed(
        {**HEADER, "kid": dice.choice(hostile.STRINGS)}, claims, OTHER_RSA_KEY
    ),
    "of another issuer, for another service, of another time": _elsewhere,
    "without an end, an issuer or an audience": _boundless,
    "a right one, with other words": _rewritten,
    "garbage": lambda dice, issuer, claims: ".".join(
        part(dice.randbytes(dice.randrange(40))) for _ in range(dice.choice((2, 3, 3, 5)))
    ),
}
