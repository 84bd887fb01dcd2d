"""Counters and histograms that cost what an addition costs: they are made for being read only when it is asked for.

Each is written by one thread at a time and read by any: what is read may be a moment old.
"""

from bisect import bisect_left
from collections.abc import Sequence

Labels = tuple[str, ...]

OTHER = "other"


class Counter:
    """``labels`` names what the values are told apart by."""

    __slots__ = ("help", "labels", "name", "values")

    def __init__(self, name: str, help: str, *labels: str) -> None:
        self.name, self.help, self.labels = name, help, labels
        self.values: dict[Labels, int] = {} if labels else {(): 0}

    def add(self, labels: Labels = (), count: int = 1) -> None:
        self.values[labels] = self.values.get(labels, 0) + count

    def read(self) -> list[tuple[Labels, int]]:
        return list(self.values.items())


class Distribution:
    """How many of the observed values are at most each of ``bounds``, which ascend, and the sum of all."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulated(self) -> list[tuple[str, int]]:
        """``("0.5", 3)``: three were at most 0.5."""
        counts, total = list(self.counts), 0
        found: list[tuple[str, int]] = []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], counts, strict=True):
            total += count
            found.append((bound, total))
        return found


class Histogram:
    """A distribution for each combination of what ``labels`` name."""

    __slots__ = ("bounds", "distributions", "help", "labels", "name")

    def __init__(self, name: str, help: str, bounds: Sequence[float], *labels: str) -> None:
        self.name, self.help, self.bounds, self.labels = name, help, tuple(map(float, bounds)), labels
        self.distributions: dict[Labels, Distribution] = {} if labels else {(): Distribution(self.bounds)}

    def observe(self, value: float, labels: Labels = ()) -> None:
        found = self.distributions.get(labels)
        if found is None:
            found = self.distributions[labels] = Distribution(self.bounds)
        found.observe(value)

    def read(self) -> list[tuple[Labels, Distribution]]:
        return list(self.distributions.items())


class Bounded:
    """Lets the first ``most`` different texts through; all others are one: users make them, and each makes series."""

    def __init__(self, most: int) -> None:
        self._most, self._known = most, dict[str, None]()

    def __call__(self, text: str) -> str:
        if text in self._known:
            return text
        if len(self._known) >= self._most:
            return OTHER
        self._known[text] = None
        return text
