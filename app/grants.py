"""What a key allows: scopes, each for all agents or for those of a name pattern.

A pattern is a name, or the beginning of names and a ``*``. Nothing more, so that whether a name fits costs one
comparison, and the names that fit are ranges of the list of all names.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct


class Scope(StrEnum):
    """``admin`` has all others in it, for the agents of its pattern; the keys themselves need it for all agents."""

    AGENTS_READ = "agents:read"
    TURNS_WRITE = "turns:write"
    TURNS_CANCEL = "turns:cancel"
    STREAM_READ = "stream:read"
    ADMIN = "admin"


PATTERN = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9_-]{0,63}\*?")
MOST_GRANTS = 64
"""Of one key."""


class Grant(NamedTuple):
    """One scope for the agents whose names fit ``pattern``. Written ``scope`` or ``scope@pattern``."""

    scope: Scope
    pattern: str = "*"

    def __str__(self) -> str:
        return self.scope.value if self.pattern == "*" else f"{self.scope.value}@{self.pattern}"


def parse_grant(text: str) -> Grant:
    """Raises ValueError, which says what would be right."""
    scope, at, pattern = text.partition("@")
    if scope not in set(Scope):
        raise ValueError(f"{scope[:40]!r} is not a scope; those are: {', '.join(Scope)}")
    if at and not PATTERN.fullmatch(pattern):
        raise ValueError(f"{pattern[:80]!r} is not a pattern: write an agent's name, or the beginning of names and a *")
    return Grant(Scope(scope), pattern or "*")


class Names(Struct, frozen=True, gc=False):
    """A set of names: all, or some and those that begin in certain ways. Nothing in it is in it twice."""

    everything: bool = False
    exact: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "Names":
        known = set(patterns)
        if "*" in known:
            return cls(everything=True)
        long = sorted(pattern[:-1] for pattern in known if pattern.endswith("*"))
        short = [each for each in long if not any(each != other and each.startswith(other) for other in long)]
        beginnings = tuple(short)
        exact = (pattern for pattern in known if not pattern.endswith("*"))
        return cls(False, frozenset(name for name in exact if not name.startswith(beginnings)), beginnings)

    def __contains__(self, name: str) -> bool:
        return self.everything or name in self.exact or name.startswith(self.beginnings)

    def __bool__(self) -> bool:
        return self.everything or bool(self.exact) or bool(self.beginnings)

    def ranges(self, beginning: str) -> Iterator["Range"]:
        """Those of the names that begin so, as ranges that ascend and have nothing in common."""
        if self.everything:
            yield Range(beginning)
            return
        found = [Range(name, only=True) for name in self.exact if name.startswith(beginning)]
        for each in self.beginnings:
            if each.startswith(beginning):
                found.append(Range(each))
            elif beginning.startswith(each):
                found.append(Range(beginning))
        yield from sorted(found)


class Range(NamedTuple):
    """All names that begin so, or ``only`` the name itself."""

    beginning: str
    only: bool = False
