"""What the clients know: each operation as it was asked for and how it ended, and everything that streams showed."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Ended(StrEnum):
    """How an operation ended for its client (the outcomes of Jepsen's histories)."""

    OK = "ok"
    FAIL = "fail"
    """It was refused: surely nothing of it was done."""
    UNKNOWN = "unknown"
    """No answer, or 5xx: done or not done."""


@dataclass(slots=True)
class Operation:
    """``mark`` names it among all of a campaign and stands in the metadata of the turns that it submits.

    ``turns``: the ids that answers named, one tuple for each answer. ``client``: whose operations come one by one.
    """

    mark: str
    kind: str
    agent: str
    client: str = ""
    size: int = 1
    ended: Ended = Ended.UNKNOWN
    statuses: list[int] = field(default_factory=list)
    turns: list[tuple[str, ...]] = field(default_factory=list)
    found: str = ""
    """Of a cancel that was too late: the status that the answer named."""
    unsure: bool = False
    """One of several askings was given up without an answer."""

    @property
    def refused(self) -> bool:
        return self.ended is Ended.FAIL and not self.unsure

    @property
    def submits(self) -> bool:
        return self.kind in ("submit", "batch")

    def marks(self) -> list[str]:
        """Of each of its turns."""
        return [self.mark] if self.kind == "submit" else [f"{self.mark}/{index}" for index in range(self.size)]


@dataclass(slots=True)
class Segment:
    """What one connection to an agent's stream showed: ``runs`` of contiguous numbers, one if nothing was wrong."""

    agent: str
    cursor: int | None
    runs: list[list[int]] = field(default_factory=list)
    was_reset: bool = False

    def add(self, seq: int) -> None:
        if self.runs and self.runs[-1][1] + 1 == seq:
            self.runs[-1][1] = seq
        else:
            self.runs.append([seq, seq])

    @property
    def latest(self) -> int | None:
        return self.runs[-1][1] if self.runs else self.cursor

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.runs)


@dataclass(slots=True)
class TurnStream:
    """A turn's own stream that came to its clean end."""

    agent: str
    turn_id: str
    seqs: list[int]


@dataclass(slots=True)
class Ledger:
    """The client history of one campaign."""

    operations: list[Operation] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    turn_streams: list[TurnStream] = field(default_factory=list)
    shown: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    """By agent and number: the data of an event as a stream showed it first."""
    conflicts: list[str] = field(default_factory=list)
    """Events that two streams showed differently."""

    def saw(self, agent: str, seq: int, data: str) -> None:
        if self.shown[agent].setdefault(seq, data) != data:
            self.conflicts.append(f"{agent} {seq}: {self.shown[agent][seq]} != {data}")

    def counts(self) -> Counter[str]:
        """For the report."""
        found = Counter(f"{each.kind} {each.ended}" for each in self.operations)
        found["twins"] = sum(each.kind == "submit" and len(each.turns) > 1 for each in self.operations)
        found["resumed events"] = sum(len(each) for each in self.segments if each.cursor is not None)
        found["stream connections"] = len(self.segments) + len(self.turn_streams)
        return found
