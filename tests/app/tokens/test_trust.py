"""Who a caller with a token is, and what it may do."""

from typing import Any

import pytest

from pygents_app.grants import MOST_GRANTS, Scope
from pygents_app.tokens.trust import LATEST_EXPIRY, Refused, Trust, grants_of

NOW = 1_000_000_000
TRUST = Trust("https://issuer.example", "here", "scp")


def claims(**changed: Any) -> dict[str, Any]:
    return {"sub": "ann", "exp": 2000, "scp": "turns:write@support-*", **changed}


def test_the_id_is_the_subjects_whatever_the_token() -> None:
    first, second = TRUST.caller(claims(), NOW), TRUST.caller(claims(exp=3000, scp=["admin"]), NOW)
    assert first.id == second.id
    assert first.name == "ann"
    assert first.holder != second.holder
    others = (TRUST.caller(claims(sub="Ann"), NOW), Trust("https://other.example", "here").caller(claims(), NOW))
    assert len({first.id, *(other.id for other in others)}) == 3


def test_an_id_fits_where_ids_of_keys_do() -> None:
    for subject in ("ann", "x" * 255, "ä\n\u202e", "\ud800", "a b"):
        principal = TRUST.caller(claims(sub=subject), NOW)
        assert principal.id.isascii()
        assert len(principal.id) < 64
        principal.name.encode()
        assert principal.name in (subject, "")


@pytest.mark.parametrize("subject", [None, "", 7, ["ann"], "x" * 256])
def test_a_token_without_a_subject(subject: object) -> None:
    with pytest.raises(Refused, match="sub"):
        TRUST.caller(claims(sub=subject), NOW)


@pytest.mark.parametrize("exp", [None, True, "2000", float("nan"), float("inf"), -1, 0, LATEST_EXPIRY, 10**30])
def test_a_token_without_an_end(exp: object) -> None:
    with pytest.raises(Refused, match="exp"):
        TRUST.caller(claims(exp=exp), NOW)


def test_there_is_no_leeway_in_its_end() -> None:
    assert TRUST.caller(claims(exp=1000.000001), NOW).until == NOW + 1
    with pytest.raises(Refused, match="expired"):
        TRUST.caller(claims(exp=1000), NOW)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("turns:write@support-* openid  email stream:read", ["turns:write@support-*", "stream:read"]),
        (["agents:read", "profile", 7, None, "admin@a*b"], ["agents:read"]),
        ("ADMIN Admin admin@ admin\t", []),
        ("admin", ["admin"]),
        (None, []),
        ({"admin": True}, []),
        (True, []),
    ],
)
def test_scopes(claim: object, expected: list[str]) -> None:
    assert [str(grant) for grant in grants_of(claim)] == expected


def test_as_many_as_a_key_may_have() -> None:
    assert len(grants_of(" ".join(f"admin@a{number}" for number in range(1000)))) == MOST_GRANTS


def test_the_claim_is_the_one_that_is_set() -> None:
    principal = TRUST.caller(claims(scope="admin"), NOW)
    assert not principal.everything
    assert principal.may(Scope.TURNS_WRITE, "support-1")
    assert not principal.sees("other")


class TestCredentials:
    def test_one_stands_for_its_token_until_that_expires(self) -> None:
        principal = TRUST.caller(claims(), NOW)
        found = TRUST.by_credential(principal.credential, NOW)
        assert found is not None
        assert (found.id, found.holder, found.until) == (principal.id, principal.holder, principal.until)
        assert found.names(Scope.STREAM_READ) == found.names(Scope.ADMIN)
        assert not found.everything
        assert TRUST.by_credential(principal.credential, principal.until or 0) is None

    def test_another_issuers_is_none(self) -> None:
        credential = TRUST.caller(claims(), NOW).credential
        assert Trust("https://other.example", "here").by_credential(credential, NOW) is None

    @pytest.mark.parametrize("credential", ["", "admin", "0123456789ab", f"{TRUST.prefix}x", f"{TRUST.prefix}x.٣٣٣٣"])
    def test_other_things_are_none(self, credential: str) -> None:
        assert TRUST.by_credential(credential, NOW) is None
