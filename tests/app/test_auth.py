"""The admin key."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.auth import ADMIN, ANONYMOUS, AdminKey

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [([b"Bearer " + KEY.encode()], []), ([b"BEARER  " + KEY.encode()], []), ([], [KEY.encode()])],
)
def test_the_key_is_the_admins(authorization: Sequence[bytes], x_api_key: Sequence[bytes]) -> None:
    assert AdminKey(KEY).caller(authorization, x_api_key) == ADMIN


@given(st.lists(st.binary(), max_size=3), st.lists(st.binary(), max_size=3))
def test_anything_else_is_nobodys(authorization: list[bytes], x_api_key: list[bytes]) -> None:
    assert AdminKey(KEY).caller(authorization, x_api_key) is None
    assert AdminKey(None).caller(authorization, x_api_key) == ANONYMOUS


def test_a_doubled_header_is_nobodys() -> None:
    right = KEY.encode()
    assert AdminKey(KEY).caller([b"Bearer " + right] * 2, []) is None
    assert AdminKey(KEY).caller([], [right, right]) is None
    assert AdminKey(KEY).caller([b"a", b"b"], [right]) is None
