"""``make chaos``: campaigns until every goal is reached or the time is over; writes tests/faults/results.json.

A goal is reached in chapters, each with a database of its own and a seed of its own, which is printed when the chapter
fails: ``make chaos ARGS="--only kills:17" SEED=…`` plays that chapter again, with the same choices.
"""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from tests.faults.chaos import disasters, floods, outages, power
from tests.faults.chaos.campaign import mixed
from tests.faults.chaos.server import ROOT
from tests.provenance import commit, machine

RESULTS = ROOT / "tests" / "faults" / "results.json"
Campaign = Callable[[Path, str, int], Awaitable[Counter[str]]]


class Goal(NamedTuple):
    """``counted``: the name of the count that is to reach ``goal``; ``chapter``: how much of it one chapter does."""

    campaign: Campaign
    counted: str
    goal: int
    chapter: int


def _mixed(disaster: disasters.Disaster) -> Campaign:
    return lambda folder, seed, number: mixed(folder, seed, disaster, number)


GOALS: dict[str, Goal] = {
    "kills": Goal(_mixed(disasters.kill), "kills", 1_000, 40),
    "restarts": Goal(_mixed(disasters.restart), "rolling restarts", 100, 20),
    "twins": Goal(floods.twins, "twins", 10_000, 5_000),
    "cancels": Goal(floods.cancels, "cancels answered", 10_000, 6_000),
    "resumes": Goal(floods.resumes, "resumed events", 1_000_000, 250_000),
    "cuts": Goal(outages.cuts, "power cuts", 100, 25),
    "relaxed": Goal(outages.relaxed, "relaxed power cuts", 10, 5),
}


class Session:
    """Chapters of all goals in turn, so that a short time does some of each."""

    def __init__(self, seed: str, minutes: float | None, only: list[str]) -> None:
        self._seed, self._begun, self._commit = seed, monotonic(), commit()
        self._until = self._begun + minutes * 60 if minutes is not None else float("inf")
        self._only = dict(part.partition(":")[::2] for part in only) or dict.fromkeys(GOALS, "")
        self.counts: dict[str, Counter[str]] = {}
        self.failures: list[dict[str, str]] = []

    @property
    def seconds(self) -> int:
        return round(monotonic() - self._begun)

    async def run(self) -> None:
        chapters = Counter[str]()
        left = [name for name in GOALS if name in self._only and (power.COMPILER or name not in ("cuts", "relaxed"))]
        while left:
            for name in tuple(left):
                if monotonic() > self._until:
                    return
                number = int(self._only[name]) if self._only[name] else chapters[name]
                chapters[name] += 1
                await self._chapter(name, number)
                if self._only[name] or self.counts[name][GOALS[name].counted] >= GOALS[name].goal:
                    left.remove(name)

    async def _chapter(self, name: str, number: int) -> None:
        goal, seed = GOALS[name], f"{self._seed}/{name}/{number}"
        counts = self.counts.setdefault(name, Counter())
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            try:
                done = await goal.campaign(Path(folder), seed, goal.chapter)
            except Exception as error:
                self.failures.append({"seed": self._seed, "chapter": f"{name}:{number}", "what": str(error)[:4_000]})
                traceback.print_exc()
                done = Counter({"failed chapters": 1})
        for what, count in done.items():
            counts[what] = max(counts[what], count) if ", ms" in what else counts[what] + count
        reached = f"{counts[goal.counted]:,} of {goal.goal:,} {goal.counted}"
        print(f"{self.seconds:5} s  {name}:{number}  {reached}  {len(self.failures)} failures", flush=True)

    def report(self, command: str) -> dict[str, Any]:
        return {
            "command": command,
            "seed": self._seed,
            "commit": self._commit,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": self.seconds,
            "machine": machine(),
            "goals": {name: {"goal": goal.goal, "reached": self.counts.get(name, Counter())[goal.counted]}
                      for name, goal in GOALS.items()},
            "counts": {name: dict(sorted(counts.items())) for name, counts in self.counts.items()},
            "failures": self.failures,
        }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", default=str(secrets.randbelow(1 << 32)), help="all choices follow from it")
    parser.add_argument("--minutes", type=float, help="begin no further chapter after that")
    parser.add_argument("--only", nargs="+", default=[], metavar="GOAL[:CHAPTER]", help=", ".join(GOALS))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    session = Session(given.seed, given.minutes, given.only)
    asyncio.run(session.run())
    report = session.report("make chaos" + "".join(f" {word}" for word in sys.argv[1:]))
    if not given.only:
        RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report["counts"], indent=2), f"{len(session.failures)} failures, seed {given.seed}", sep="\n")
    return 1 if session.failures else 0


if __name__ == "__main__":
    sys.exit(main())
