"""What is said of one thing that can go wrong."""

from enum import StrEnum
from typing import NamedTuple

URN = "urn:pygents:problem:"


class Repeat(StrEnum):
    """Whether to send the same request again; of an ended turn, whether to submit it again as it is."""

    NO = "no"
    """It will be refused again: something has to change first."""
    LATER = "later"
    """It passes by itself: after ``Retry-After`` if there is one, else with growing pauses."""
    SAME_KEY = "same-key"
    """Nobody knows whether it was done: repeat a submit with its Idempotency-Key, and read before other writes."""


class Kind(StrEnum):
    """Where it is met."""

    HTTP = "http"
    CLOSING = "stream.closing"
    RESET = "stream.reset"
    TURN = "turn.error"


class Explanation(NamedTuple):
    meaning: str
    remedy: str
    repeat: Repeat


class Entry(NamedTuple):
    """``name`` is its address under ``/problems/``; ``type`` is what is found where it is met."""

    name: str
    kind: Kind
    type: str
    status: int | None
    title: str
    explanation: Explanation
