"""Compares what a page says that a command prints with what it prints. ``…`` stands for what may be anything.

JSON is compared as JSON: a page may indent it, ``"…": "…"`` stands for further members and ``"…"`` for any value.
Text is compared line by line and may be a part of what is printed; a line that is only ``…`` stands for any lines.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

ANY = "…"


def is_shown(language: str, shown: str, printed: str) -> bool:
    """Whether ``shown``, a block of that language, is what was printed."""
    return COMPARISONS[language](shown, printed)


def _text(shown: str, printed: str) -> bool:
    lines = [r"(?:.*\n)*?" if line.strip() == ANY else _wild(line) + r"\n" for line in shown.strip().splitlines()]
    return re.search("^" + "".join(lines), printed.replace("\r\n", "\n").rstrip() + "\n", re.MULTILINE) is not None


def _json(shown: str, printed: str) -> bool:
    """The last of the documents that were printed."""
    decoder, rest, last = json.JSONDecoder(), printed.strip(), None
    while rest:
        try:
            last, end = decoder.raw_decode(rest)
        except ValueError:
            return False
        rest = rest[end:].lstrip()
    return _fits(json.loads(shown), last)


COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {"": _text, "json": _json}


def _fits(shown: Any, found: Any) -> bool:
    match shown:
        case str() if shown == ANY:
            return True
        case str() if ANY in shown:
            return isinstance(found, str) and re.fullmatch(_wild(shown), found) is not None
        case dict():
            named = {key: value for key, value in shown.items() if key != ANY}
            same = isinstance(found, dict) and (
                named.keys() <= found.keys() if ANY in shown else named.keys() == found.keys()
            )
            return same and all(_fits(value, found[key]) for key, value in named.items())
        case list():
            same = isinstance(found, list) and len(shown) == len(found)
            return same and all(_fits(one, other) for one, other in zip(shown, found, strict=True))
        case _:
            return isinstance(shown, bool) == isinstance(found, bool) and bool(shown == found)


def _wild(line: str) -> str:
    return ".*?".join(re.escape(part) for part in line.split(ANY))
