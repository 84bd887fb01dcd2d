"""Where in a trace a turn was made is stored with it: it outlives the process, and ends with the turn."""

import pytest
from msgspec.structs import replace

from pygents_app.commands import DeleteAgent, Prune
from pygents_app.model import Trace
from tests.contracts.conftest import OpenStore
from tests.contracts.driver import SECOND, START, Driver, spec

pytestmark = pytest.mark.anyio

TRACE = Trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")
TRACED = replace(spec(), trace=TRACE)


async def test_it_is_known_by_the_turn(driver: Driver) -> None:
    await driver.create()
    plain, other = spec(), replace(spec(), trace=Trace(TRACE.parent))
    await driver.submit(TRACED, plain, other)
    assert await driver.store.get_trace(TRACED.id) == TRACE
    assert await driver.store.get_trace(plain.id) is None
    assert await driver.store.get_trace(other.id) == Trace(TRACE.parent, "")
    assert await driver.store.get_trace("nobody") is None


async def test_of_a_turn_that_begins_at_once(driver: Driver) -> None:
    await driver.create()
    assert (await driver.begin(TRACED)).turn.spec.trace == TRACE
    assert await driver.store.get_trace(TRACED.id) == TRACE


async def test_of_a_turn_that_a_tool_returned(driver: Driver) -> None:
    await driver.create()
    await driver.finish(await driver.begin(), returned=TRACED)
    assert await driver.store.get_trace(TRACED.id) == TRACE


async def test_it_outlives_the_process(open_durable_store: OpenStore) -> None:
    driver = open_durable_store()
    await driver.create()
    await driver.submit(TRACED)
    assert await (await open_durable_store.reopen()).store.get_trace(TRACED.id) == TRACE


async def test_it_goes_with_a_turn_that_is_pruned(driver: Driver) -> None:
    await driver.create()
    await driver.finish(await driver.begin(TRACED))
    driver.clock.now += SECOND
    late = START + 100 * SECOND
    while (await driver.execute(Prune("a", 0, late, late, 500))).rows:
        pass
    assert await driver.store.get_turn(TRACED.id) is None
    assert await driver.store.get_trace(TRACED.id) is None


async def test_it_goes_with_its_agent(driver: Driver) -> None:
    await driver.create()
    await driver.submit(TRACED)
    await driver.execute(DeleteAgent("a", "tester", force=True))
    while await driver.store.purge(START + 1, 100):
        pass
    assert await driver.store.get_trace(TRACED.id) is None
