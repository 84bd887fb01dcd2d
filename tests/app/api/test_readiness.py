"""Whether the service takes turns: asked by anybody, as often as they like."""

import asyncio

import pytest

from pygents_app.api.readiness import FRESH_SECONDS, Readiness
from pygents_app.errors import StoreFull
from tests.app.api.serving import FakeDispatcher

pytestmark = pytest.mark.anyio


class Disk:
    """What is checked; while ``full``, that fails. ``gate`` holds a check up."""

    def __init__(self) -> None:
        self.now, self.checks, self.full = 100.0, 0, False
        self.gate = asyncio.Event()
        self.gate.set()
        self.dispatcher = FakeDispatcher()
        self.readiness = Readiness(dispatcher=self.dispatcher, check=self._check, clock=lambda: self.now)

    async def _check(self) -> None:
        self.checks += 1
        await self.gate.wait()
        if self.full:
            raise StoreFull("no space")


@pytest.fixture
def disk() -> Disk:
    return Disk()


async def test_all_reasons_are_told(disk: Disk) -> None:
    assert await disk.readiness.reasons() == []
    disk.now += 1
    disk.full = disk.dispatcher.draining = disk.dispatcher.exhausted = True
    assert await disk.readiness.reasons() == ["draining", "tools block too many event loops", "no space"]


async def test_a_store_that_works_is_not_checked_again_at_once(disk: Disk) -> None:
    for _ in range(100):
        assert await disk.readiness.reasons() == []
    assert disk.checks == 1
    disk.now += FRESH_SECONDS
    await disk.readiness.reasons()
    assert disk.checks == 2


async def test_one_that_does_not_is(disk: Disk) -> None:
    disk.full = True
    assert await disk.readiness.reasons() == ["no space"]
    disk.full = False
    assert await disk.readiness.reasons() == []


async def test_a_crowd_shares_one_check_that_takes_long(disk: Disk) -> None:
    disk.gate.clear()
    disk.full = True
    asking = [asyncio.ensure_future(disk.readiness.reasons()) for _ in range(50)]
    await asyncio.sleep(0)
    disk.now += 5
    disk.gate.set()
    assert await asyncio.gather(*asking) == [["no space"]] * 50
    assert disk.checks == 1


async def test_a_client_that_leaves_takes_nobody_along(disk: Disk) -> None:
    disk.gate.clear()
    leaving, staying = (asyncio.ensure_future(disk.readiness.reasons()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    disk.gate.set()
    assert await staying == []
