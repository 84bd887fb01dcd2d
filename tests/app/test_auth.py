"""Credentials, and what they allow."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.auth import ANYBODY, SETTINGS_ADMIN, Gate

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [([b"Bearer " + KEY.encode()], []), ([b"BEARER  " + KEY.encode()], []), ([], [KEY.encode()])],
)
def test_the_key_is_the_admins(authorization: Sequence[bytes], x_api_key: Sequence[bytes]) -> None:
    assert Gate(admin_key=KEY).admit(authorization, x_api_key) is SETTINGS_ADMIN


@given(st.lists(st.binary(), max_size=3), st.lists(st.binary(), max_size=3))
def test_anything_else_is_nobodys(authorization: list[bytes], x_api_key: list[bytes]) -> None:
    assert Gate(admin_key=KEY).admit(authorization, x_api_key) is None
    assert Gate(admin_key=None).admit(authorization, x_api_key) is ANYBODY


def test_a_doubled_header_is_nobodys() -> None:
    right = KEY.encode()
    assert Gate(admin_key=KEY).admit([b"Bearer " + right] * 2, []) is None
    assert Gate(admin_key=KEY).admit([], [right, right]) is None
    assert Gate(admin_key=KEY).admit([b"a", b"b"], [right]) is None
