"""A small dose of every campaign, with a seed of its own each time, which is printed when it fails."""

import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygents_app.failpoints import POINTS
from tests.faults.chaos import disasters, floods, outages, power
from tests.faults.chaos.campaign import mixed
from tests.faults.chaos.server import Server

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(180)]

compiles = pytest.mark.skipif(power.COMPILER is None, reason="needs a C compiler (gcc)")


@pytest.fixture
def seed() -> Iterator[str]:
    """``CHAOS_SEED`` plays an earlier dose again."""
    seed = os.environ.get("CHAOS_SEED") or str(secrets.randbelow(1 << 32))
    print(f"CHAOS_SEED={seed}")
    yield seed


async def test_kills(tmp_path: Path, seed: str) -> None:
    tally = await mixed(tmp_path, seed, disasters.kill, 8)
    assert tally["kills"] == 8
    assert tally["submit ok"] and tally["resumed events"], "there was no load"


async def test_every_failpoint(tmp_path: Path, seed: str) -> None:
    """The one in a migration is passed by every campaign, when its file is made."""
    points = [point for point in POINTS if point != "in-migration"]
    random.Random(seed).shuffle(points)
    left = iter(points)

    async def next_point(server: Server, dice: random.Random, tally: Counter[str]) -> None:
        await disasters.at(next(left))(server, dice, tally)

    tally = await mixed(tmp_path, seed, next_point, len(points))
    assert {name: count for name, count in tally.items() if name.startswith("killed at")} == {
        f"killed at {point}": 1 for point in points
    }


async def test_rolling_restarts(tmp_path: Path, seed: str) -> None:
    assert (await mixed(tmp_path, seed, disasters.restart, 3))["rolling restarts"] == 3


async def test_twins(tmp_path: Path, seed: str) -> None:
    assert (await floods.twins(tmp_path, seed, 200))["twins"] == 200


async def test_cancels_against_finishes(tmp_path: Path, seed: str) -> None:
    tally = await floods.cancels(tmp_path, seed, 200)
    assert tally["cancel ok"] and tally["cancel fail"], "one side always won"


async def test_resumes(tmp_path: Path, seed: str) -> None:
    assert (await floods.resumes(tmp_path, seed, 20_000))["resumed events"] >= 20_000


@compiles
async def test_power_cuts(tmp_path: Path, seed: str) -> None:
    assert (await outages.cuts(tmp_path, seed, 5))["power cuts"] >= 5


@compiles
async def test_what_relaxed_durability_loses_is_the_end(tmp_path: Path, seed: str) -> None:
    tally = await outages.relaxed(tmp_path, seed, 1)
    assert tally["relaxed, acknowledged"] >= tally["relaxed, acknowledged and lost"]
