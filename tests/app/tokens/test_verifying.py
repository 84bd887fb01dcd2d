"""Which tokens are believed. Each wrong one differs from a right one in one thing."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.tokens.keyset import KeySet
from pygents_app.tokens.trust import Refused, Trust
from pygents_app.tokens.verifying import MOST_BYTES, read_header, verify
from tests.issuer import AUDIENCE, OTHER_RSA_KEY, RSA_KEY, Issuer, jwk, key_for, part, public_pem, signed

ISSUER = Issuer()
TRUST = Trust(ISSUER.url, AUDIENCE)
HEADER = {"alg": "RS256", "kid": "first"}
NOW = int(time.time())


def keys(*jwks: Any) -> KeySet:
    return KeySet(json.dumps({"keys": jwks or ISSUER.jwks["keys"]}).encode())


def claims_of(token: str | bytes, known: KeySet | None = None) -> dict[str, Any]:
    data = token.encode() if isinstance(token, str) else token
    header = read_header(data)
    key = (known or keys()).find(header.kid, header.algorithm)
    if key is None:
        raise Refused("names no key")
    return verify(data, key, TRUST)


def test_a_right_one_is_believed() -> None:
    assert claims_of(ISSUER.token("admin"))["scope"] == "admin"
    assert claims_of(ISSUER.token(aud=["another", AUDIENCE]))["sub"] == "ann"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+JWT"])
def test_types(typ: str) -> None:
    assert claims_of(ISSUER.token(header={"typ": typ}))


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
def test_algorithms(algorithm: str) -> None:
    key = key_for(algorithm)
    token = ISSUER.token(key=key, algorithm=algorithm)
    assert claims_of(token, keys(jwk(key, kid="first")))
    assert claims_of(token, keys(jwk(key, kid="first", alg=algorithm, key_ops=["verify"])))
    with pytest.raises(Refused):
        claims_of(token, keys(jwk(key, kid="first", use="enc"), jwk(OTHER_RSA_KEY, kid="other")))


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (ISSUER.token(key=OTHER_RSA_KEY), "signature"),
        (ISSUER.token(iss="https://another.example"), "another issuer"),
        (ISSUER.token(iss=ISSUER.url + "/"), "another issuer"),
        (ISSUER.token(aud="another"), "another audience"),
        (ISSUER.token(aud=[AUDIENCE + "/"]), "another audience"),
        (ISSUER.token(iss=None), "has no iss"),
        (ISSUER.token(aud=None), "has no aud"),
        (ISSUER.token(sub=None), "has no sub"),
        (ISSUER.token(exp=None), "has no exp"),
        (ISSUER.token(exp=NOW - 3600), "expired"),
        (ISSUER.token(nbf=NOW + 3600), "not valid yet"),
        (ISSUER.token(iat=NOW + 3600), "not valid yet"),
        (ISSUER.token(kid="unknown", key=RSA_KEY), "no key"),
        (ISSUER.token(header={"typ": "JWE"}), "typ"),
        (ISSUER.token(header={"typ": "dpop+jwt"}), "typ"),
        (ISSUER.token(header={"cty": "JWT"}), "typ"),
        (signed({**HEADER, "crit": ["x"], "x": 1}, ISSUER.claims()), "cannot be read"),
        (signed({**HEADER, "b64": False, "crit": ["b64"]}, ISSUER.claims()), "critical|cannot be read"),
        (signed({**HEADER, "b64": True}, ISSUER.claims()), "critical"),
        (signed({**HEADER, "kid": 7}, ISSUER.claims()), "cannot be read"),
        (signed({**HEADER, "alg": "none"}, ISSUER.claims()), "no key"),
        (signed({**HEADER, "alg": None}, ISSUER.claims()), "no key"),
        (signed({**HEADER, "alg": ["RS256"]}, ISSUER.claims()), "no key"),
        (signed({"kid": "first"}, ISSUER.claims()), "no key"),
        (signed(HEADER, b"not json"), "cannot be read"),
        (signed(HEADER, b"\xff\xfe"), "cannot be read"),
        (signed(HEADER, b"[" * 5000), "cannot be read"),
        (signed(HEADER, b"[]"), "cannot be read"),
        (signed(HEADER, {**ISSUER.claims(), "exp": "x"}), "cannot be read"),
        (signed(HEADER, {**ISSUER.claims(), "exp": {}}), "cannot be read"),
        (signed(HEADER, b'{"exp": 1e999, "iss": "", "aud": "", "sub": ""}'), "cannot be read"),
        (f"{part({'alg': 'none'})}.{part(ISSUER.claims())}.", "not a signed JWT"),
        (f"{part({'alg': 'none', 'kid': 'first'})}.{part(ISSUER.claims())}.AA", "no key"),
        (ISSUER.token() + "=", "not a signed JWT"),
        (ISSUER.token() + ".AA", "not a signed JWT"),
        (ISSUER.token() + "\n", "not a signed JWT"),
        (f"{part(b'[' * 9000)}.e30.AA", "cannot be read"),
        (f"{part([])}.e30.AA", "cannot be read"),
        ("A.A.A", "cannot be read"),
        ("..", "not a signed JWT"),
        ("x" * (MOST_BYTES + 1), "more than"),
        (ISSUER.token(padding="x" * MOST_BYTES), "more than"),
    ],
)  # fmt: skip
def test_a_wrong_one_is_refused(token: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        claims_of(token)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_public_key_is_no_secret() -> None:
    """The algorithm confusion: an HMAC whose secret is what everybody can fetch."""
    text = f"{part({**HEADER, 'alg': 'HS256'})}.{part(ISSUER.claims())}"
    for secret in (public_pem(RSA_KEY), public_pem(RSA_KEY).strip(), json.dumps(jwk(RSA_KEY)).encode()):
        mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(text.encode(), secret)
        with pytest.raises(Refused, match="no key"):
            claims_of(f"{text}.{part(mac)}")


def test_a_clock_that_is_ahead_by_less_than_a_minute() -> None:
    assert claims_of(ISSUER.token(nbf=NOW + 30, iat=NOW + 30))


def test_the_key_decides_by_what_it_is_for() -> None:
    only = keys(jwk(RSA_KEY, kid="first", alg="PS256"))
    assert claims_of(ISSUER.token(algorithm="PS256"), only)
    with pytest.raises(Refused, match="no key"):
        claims_of(ISSUER.token(), only)


def test_without_a_kid_there_must_be_one_key_only() -> None:
    token = ISSUER.token(kid=None, key=RSA_KEY)
    assert claims_of(token)
    with pytest.raises(Refused, match="no key"):
        claims_of(token, keys(jwk(RSA_KEY, kid="first"), jwk(OTHER_RSA_KEY, kid="second")))


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=60))
def test_garbage_is_refused(header: bytes, payload: bytes, signature: bytes) -> None:
    for token in (header, f"{part(header)}.{part(payload)}.{part(signature)}".encode(), b".".join((header, payload))):
        with pytest.raises(Refused):
            claims_of(token)


class TestKeySets:
    @pytest.mark.parametrize(
        "text",
        [
            b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [1, null, "x", [], {}]}', b"\xff",
            b'{"keys": [{"kty": "oct", "kid": "first", "k": "AAAA", "alg": "HS256"}]}',
            b'{"keys": [{"kty": "oct", "kid": "first", "k": "AAAA", "alg": "RS256"}]}',
            b'{"keys": [{"kty": "RSA", "kid": "first", "n": "AQAB", "e": "AQAB"}]}',
            b'{"keys": [{"kty": "RSA", "kid": "first", "n": 7, "e": null}]}',
            b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
            b'{"keys": [{"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"}]}',
        ],
    )  # fmt: skip
    def test_what_verifies_nothing_is_none(self, text: bytes) -> None:
        with pytest.raises(ValueError):
            KeySet(text)

    def test_others_may_stand_beside(self) -> None:
        strange = [7, {"kty": "LMS"}, {"kty": "oct", "k": "AA", "kid": "first"}, jwk(RSA_KEY, kid="first", use="enc")]
        assert claims_of(ISSUER.token(), keys(*strange, jwk(RSA_KEY, kid="first")))

    def test_keys_of_a_size_that_is_broken_are_none(self) -> None:
        small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (that is the point)
        with pytest.raises(ValueError, match="no key"):
            keys(jwk(small, kid="first"))

    def test_of_a_private_key_only_the_public_half_is_kept(self) -> None:
        private = jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True)
        found = keys({**private, "kid": "first", "key_ops": ["verify"]}).find("first", "RS256")
        assert found is not None
        assert not hasattr(found.key, "sign")
