"""Scopes, patterns, and the names that fit them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.grants import Grant, Names, Scope, parse_grant

NAMES = st.text("ab-", min_size=1, max_size=5).filter(lambda name: not name.startswith("-"))
PATTERNS = st.one_of(NAMES, NAMES.map(lambda name: name + "*"), st.just("*"))


def fits(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("admin", Grant(Scope.ADMIN)),
        ("admin@*", Grant(Scope.ADMIN)),
        ("turns:write@support-*", Grant(Scope.TURNS_WRITE, "support-*")),
        ("stream:read@a", Grant(Scope.STREAM_READ, "a")),
    ],
)
def test_a_grant(text: str, grant: Grant) -> None:
    assert parse_grant(text) == grant
    assert parse_grant(str(grant)) == grant


@pytest.mark.parametrize(
    "text",
    ["", "turns", "Admin", "admin@", "admin@@a", "admin@a b", "admin@*a", "admin@a*b", "admin@a**", "admin@-a",
     "admin ", "admin@a.b", "admin@" + "a" * 65, "admin@a\n", "turns:write turns:cancel"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_grant(text)


@given(st.lists(PATTERNS, max_size=5), st.lists(NAMES, max_size=20), st.text("ab-", max_size=3))
def test_ranges_have_each_name_that_fits_once(patterns: list[str], names: list[str], beginning: str) -> None:
    allowed = Names.of(patterns)
    assert [name for name in names if name in allowed] == [
        name for name in names if any(fits(name, pattern) for pattern in patterns)
    ]
    listed = [
        name
        for first, only in allowed.ranges(beginning)
        for name in sorted(set(names))
        if (name == first if only else name.startswith(first))
    ]
    assert listed == sorted(name for name in set(names) if name in allowed and name.startswith(beginning))
    assert bool(allowed) == bool(patterns)
