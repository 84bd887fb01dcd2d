"""Credentials, and what they allow."""

import hmac
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.access.records import AccessKey
from pygents_app.auth import ADMIN, ANONYMOUS, ANYBODY, Gate, Principal, digest_of, new_token
from pygents_app.grants import Grant, Scope

KEY = "0123456789abcdef"


def is_admin(principal: Principal | None) -> bool:
    return principal is not None and principal.everything and principal.id == ADMIN


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [([b"Bearer " + KEY.encode()], []), ([b"BEARER  " + KEY.encode()], []), ([], [KEY.encode()])],
)
def test_the_key_is_the_admins(authorization: Sequence[bytes], x_api_key: Sequence[bytes]) -> None:
    assert is_admin(Gate(admin_key=KEY).admit(authorization, x_api_key))


@given(st.lists(st.binary(), max_size=3), st.lists(st.binary(), max_size=3))
def test_anything_else_is_nobodys(authorization: list[bytes], x_api_key: list[bytes]) -> None:
    assert Gate(admin_key=KEY).admit(authorization, x_api_key) is None
    assert Gate(admin_key=None).admit(authorization, x_api_key) is ANYBODY


def test_a_doubled_header_is_nobodys() -> None:
    right = KEY.encode()
    assert Gate(admin_key=KEY).admit([b"Bearer " + right] * 2, []) is None
    assert Gate(admin_key=KEY).admit([], [right, right]) is None
    assert Gate(admin_key=KEY).admit([b"a", b"b"], [right]) is None


class TestTime:
    """What an answer takes tells nothing of how much of a key was right."""

    def credentials(self) -> tuple[Gate, dict[str, bytes]]:
        id_, token = new_token()
        gate = Gate(admin_key=KEY)
        gate.put(AccessKey(id_, "a", digest_of(token), (Grant(Scope.STREAM_READ),), 0))
        wrong = "0" if token[-1] != "0" else "1"
        return gate, {
            "all but the end": (token[:-1] + wrong).encode(),
            "the id only": (token[:17] + "f" * 64).encode(),
            "nothing": new_token()[1].encode(),
            "half of the settings' key": (KEY[:8] + "x" * 8).encode(),
            "no key at all": b"x",
        }

    def test_the_same_comparisons_are_made_whatever_is_wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gate, credentials = self.credentials()
        compared: list[tuple[int, int]] = []
        compare = hmac.compare_digest

        def recorded(one: bytes, other: bytes) -> bool:
            compared.append((len(one), len(other)))
            return compare(one, other)

        monkeypatch.setattr(hmac, "compare_digest", recorded)
        made = set()
        for credential in credentials.values():
            assert gate.admit([], [credential]) is None
            made.add(tuple(compared))
            compared.clear()
        assert made == {((32, 32), (32, 32))}, "hashes, whole, and never a secret itself"

    def test_and_they_take_as_long(self) -> None:
        """By the fastest of many tries in turn. Bytes that are compared one by one would show only in far more."""
        gate, credentials = self.credentials()
        best = dict.fromkeys(credentials, 1.0)
        for _ in range(2000):
            for name, credential in credentials.items():
                begun = perf_counter()
                gate.admit([], [credential])
                best[name] = min(best[name], perf_counter() - begun)
        assert max(best.values()) < 3 * min(best.values()), best


def test_a_key_beside_another_is_nobodys() -> None:
    """Whatever the other one is: who looks at one header only would see another caller. A password is no key."""
    gate = Gate(admin_key=KEY)
    for other in (b"Bearer " + KEY.encode(), b"bearer x", b"Bearer", b"Bearer "):
        assert gate.admit([other], [KEY.encode()]) is None
    assert is_admin(gate.admit([b"Basic Zm9vOmJhcg=="], [KEY.encode()]))


def test_what_is_stored_for_the_key_of_the_settings_is_bound_to_it() -> None:
    """And tells nothing of it: it may be one that could be guessed."""
    before, again, after = Gate(admin_key=KEY), Gate(admin_key=KEY), Gate(admin_key=KEY[::-1])
    bound = before.digest_bound(b"token", ADMIN)
    assert again.digest_bound(b"token", ADMIN) == bound, "the next process has the same key"
    assert len({gate.digest_bound(b"token", ADMIN) for gate in (before, after, Gate(admin_key=None))}) == 3
    assert before.digest_bound(b"token", "another") == after.digest_bound(b"token", "another")
    assert before.by_holder(ADMIN) is not None
    assert Gate(admin_key=None).by_holder(ADMIN) is None


class TestStoredKeys:
    NOW = 1_000_000

    def gate(self, *keys: AccessKey, admin_key: str | None = None) -> Gate:
        gate = Gate(admin_key=admin_key, clock=lambda: self.NOW)
        gate.put(*keys)
        return gate

    def made(self, **fields: Any) -> tuple[AccessKey, bytes]:
        id_, token = new_token()
        return AccessKey(id_, "a", digest_of(token), (Grant(Scope.STREAM_READ),), 0, **fields), token.encode()

    def test_one_admits_its_own_caller(self) -> None:
        (first, token), (second, _) = self.made(), self.made()
        gate = self.gate(first, second)
        principal = gate.admit([], [token])
        assert principal is not None
        assert principal.id == first.id
        assert gate.by_holder(first.id) is principal

    @pytest.mark.parametrize("fields", [{"expires_at": NOW}, {"revoked_at": 1}, {"damaged": True}])
    def test_one_that_is_void_admits_nobody_and_keeps_the_gate_closed(self, fields: dict[str, Any]) -> None:
        key, token = self.made(**fields)
        gate = self.gate(key)
        assert gate.admit([], [token]) is None
        assert gate.admit([], []) is None
        assert gate.by_holder(key.id) is None
        assert gate.by_holder(ANONYMOUS) is None
        assert not gate.open

    def test_one_that_will_expire_admits_until_then(self) -> None:
        key, token = self.made(expires_at=self.NOW + 1)
        gate = self.gate(key)
        assert gate.admit([], [token]) is not None
        assert (gate.expires(), gate.expired()) == (True, [])

    def test_the_secret_is_all_that_counts(self) -> None:
        key, token = self.made()
        gate = self.gate(key, admin_key=KEY)
        for wrong in (token[:-1], token + b"0", token[:-1] + b"g", token.upper(), token[17:], key.digest, b"pyg_"):
            assert gate.admit([], [wrong]) is None
        other = b"pyg_" + key.id.encode() + b"_" + b"0" * 64
        assert gate.admit([], [other]) is None
        assert is_admin(gate.admit([], [KEY.encode()]))
        assert gate.admit([b"Bearer " + token], []) is not None

    def test_the_key_of_the_settings_may_look_like_one_of_the_store(self) -> None:
        _, token = self.made()
        assert is_admin(self.gate(self.made()[0], admin_key=token.decode()).admit([], [token]))


class TestPrincipal:
    def test_admin_has_all_other_scopes_in_it(self) -> None:
        principal = Principal.of("k", "", [Grant(Scope.ADMIN, "a-*")])
        assert all(principal.may(scope, "a-1") for scope in Scope)
        assert not any(principal.may(scope, "b-1") for scope in Scope)
        assert not principal.everything
        assert Principal.of("k", "", [Grant(Scope.ADMIN)]).everything

    def test_no_other_scope_has(self) -> None:
        for scope in set(Scope) - {Scope.ADMIN}:
            principal = Principal.of("k", "", [Grant(scope)])
            assert [other for other in Scope if principal.may(other, "a")] == [scope]
            assert not principal.everything

    def test_what_is_seen_is_what_anything_is_allowed_for(self) -> None:
        principal = Principal.of("k", "", [Grant(Scope.TURNS_WRITE, "a"), Grant(Scope.STREAM_READ, "b*")])
        assert [name for name in ("a", "ab", "b", "bc", "c") if principal.sees(name)] == ["a", "b", "bc"]
