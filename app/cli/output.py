"""How a verb prints what it has found."""

from enum import StrEnum


class Output(StrEnum):
    """``text`` may change from version to version; ``json`` only grows."""

    TEXT = "text"
    JSON = "json"
