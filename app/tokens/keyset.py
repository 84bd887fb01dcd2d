"""The public keys of an issuer, out of its JWKS (RFC 7517)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVES: Mapping[str, str] = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}
RSA_BITS = range(2048, 8192 + 1)
"""Less is broken; more only costs time, for each token that is sent here."""
MOST_KEYS = 100


class VerifyingKey(NamedTuple):
    """``algorithms``: what tokens may be signed with that name this key. None of them takes a secret."""

    kid: str | None
    algorithms: frozenset[str]
    key: Any


class KeySet:
    """Immutable. Equal to another one if they were read from the same text."""

    def __init__(self, text: bytes) -> None:
        """Raises ValueError if there is no key in it that could verify anything."""
        document = json.loads(text)
        listed = document.get("keys") if isinstance(document, dict) else None
        self._text = text
        self._keys = tuple(_usable(listed[:MOST_KEYS])) if isinstance(listed, list) else ()
        if not self._keys:
            raise ValueError("there is no key in it that is for signatures")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeySet) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """The key of that id which is for this algorithm; for a token without an id the only key that is."""
        fitting = [key for key in self._keys if algorithm in key.algorithms and kid in (None, key.kid)]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None


def _usable(listed: list[Any]) -> Iterator[VerifyingKey]:
    """Those that sign. Others stand beside them lawfully: for encryption, of kinds to come, or secrets by mistake."""
    for jwk in listed:
        algorithms = _algorithms(jwk) if isinstance(jwk, dict) else frozenset()
        if not algorithms:
            continue
        try:
            key = jwt.PyJWK(_public(jwk), min(algorithms)).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if not isinstance(key, RSAPublicKey) or key.key_size in RSA_BITS:
            yield VerifyingKey(jwk.get("kid"), algorithms, key)


def _algorithms(jwk: Mapping[str, Any]) -> frozenset[str]:
    """What a key of this kind can verify, and is for."""
    verifies = "verify" in jwk["key_ops"] if isinstance(jwk.get("key_ops"), list) else True
    if jwk.get("use", "sig") != "sig" or not verifies:
        return frozenset()
    if jwk.get("kty") == "RSA":
        possible = RSA
    else:
        curve = CURVES.get(str(jwk.get("crv"))) if jwk.get("kty") in ("EC", "OKP") else None
        possible = frozenset({curve}) if curve is not None else frozenset()
    return possible & {jwk["alg"]} if isinstance(jwk.get("alg"), str) else possible


def _public(jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Without what would make it a private key: an issuer that publishes that has other worries, and so would we."""
    return {name: value for name, value in jwk.items() if name in {"kty", "n", "e", "crv", "x", "y"}}
