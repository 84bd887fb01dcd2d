"""All of it by name, each under its address."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from .entry import URN, Entry, Kind
from .requests import ERRORS
from .streams import CLOSINGS, RESETS
from .turns import TURNS


@cache
def catalogue() -> Mapping[str, Entry]:
    """All entries by name: problems of HTTP first, by status."""
    return {entry.name: entry for entry in _entries()}


def find(name: str) -> Entry | None:
    """The entry of that name, which may be a whole ``type`` of a problem; None if there is none."""
    return catalogue().get(name.removeprefix(URN))


def _entries() -> Iterator[Entry]:
    for error in sorted(ERRORS, key=lambda error: (error.status, error.type)):
        yield Entry(error.type, Kind.HTTP, URN + error.type, error.status, error.title, ERRORS[error])
    for kind, table in ((Kind.CLOSING, CLOSINGS), (Kind.RESET, RESETS), (Kind.TURN, TURNS)):
        for type_, explanation in table.items():
            yield Entry(_name(kind, type_), kind, type_, None, f"{kind}: {type_}", explanation)


def _name(kind: Kind, type_: str) -> str:
    """``turn.error`` of type ``HopLimit``: ``turn-error-hop-limit``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[._]", "-", f"{kind}-{type_}")
    return words.lower()
