"""How a verb prints what it has found."""

import json
from enum import StrEnum
from typing import Any


class Output(StrEnum):
    """``text`` may change from version to version; ``json`` only grows."""

    TEXT = "text"
    JSON = "json"


def plain(value: Any) -> str:
    """A JSON value as one writes it into a variable; nothing is a dash."""
    match value:
        case None | []:
            return "-"
        case list():
            return ", ".join(map(str, value))
        case str():
            return value
        case _:
            return json.dumps(value)
