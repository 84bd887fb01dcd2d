"""Charges go from the store's thread to the HTTP loop's buckets, each of them once."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from pygents_app.access.records import NO_LIMITS, KeyLimits
from pygents_app.ports import Listener, Notice
from pygents_app.rates import Pace, Rates
from pygents_app.runtime.charging import Charging
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

SLOW = Pace.of(0.001, 1_000_000)


class World:
    def __init__(self, rate: float = 0.001) -> None:
        self.rates = Rates(rate=rate, burst=1_000_000, wrong_keys=0)
        self.limits = {"quick": KeyLimits(rate=100, burst=10), "free": KeyLimits(rate=0)}
        self.listeners: list[Listener] = []
        self.charging = Charging(
            rates=self.rates, limits=lambda caller: self.limits.get(caller, NO_LIMITS), listen=self.listen
        )

    def listen(self, listener: Listener) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def commit(self, *callers: str) -> None:
        for listener in tuple(self.listeners):
            listener(Notice(charged=callers))

    def has_taken(self, **counts: int) -> bool:
        return all(self.taken(caller) == count for caller, count in counts.items())

    def taken(self, caller: str, pace: Pace = SLOW) -> int:
        return pace.burst - self.rates.turns.level(caller, pace).tokens


@pytest.fixture
def world() -> World:
    return World()


async def test_from_another_thread(world: World) -> None:
    """None is lost and none is charged twice, however they fall between the loop's turns."""
    world.charging.start(asyncio.get_running_loop())

    def commits() -> None:
        for _ in range(2_000):
            world.commit("a", "b", "a")

    for times in (1, 2):  # the second time after it was woken once
        await asyncio.to_thread(commits)
        await eventually(partial(world.has_taken, a=times * 4_000, b=times * 2_000))
    world.commit()
    assert not world.charging._called, "a commit of which nothing is charged wakes the loop"
    world.charging.stop()
    assert not world.listeners


async def test_at_the_pace_of_the_caller(world: World) -> None:
    world.charging.start(asyncio.get_running_loop())
    world.commit("quick", "free", "quick", *["other"] * 3)
    quick = Pace.of(100, 10)
    await eventually(lambda: world.taken("other") == 3)
    assert world.rates.turns.level("quick", quick).full_in <= 0.02
    assert len(world.rates.turns) == 2, "nothing is counted of one that may do any number"


async def test_where_no_rate_is_set_nothing_is_kept() -> None:
    world = World(rate=0)
    world.charging.start(asyncio.get_running_loop())
    world.commit("a", "quick")
    await eventually(lambda: len(world.rates.turns) == 1)


def test_when_the_loop_has_ended(world: World) -> None:
    async def start() -> None:
        world.charging.start(asyncio.get_running_loop())

    asyncio.run(start())
    world.commit("a")  # raises nothing on the store's thread
    world.charging.stop()


def test_stopping_what_was_not_started(world: World) -> None:
    world.charging.stop()
