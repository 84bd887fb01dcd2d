"""How much a store says that it holds, and that its notices have the rows as they are then."""

import pytest

from pygents_app.commands import DeleteAgent, Pause
from pygents_app.ports import Measures
from tests.contracts.conftest import OpenStore
from tests.contracts.driver import SECOND, START, STARTER, Driver, spec

pytestmark = pytest.mark.anyio


async def measures(driver: Driver) -> Measures:
    return (await driver.store.measure())._replace(database_bytes=0, log_bytes=0)


async def test_nothing(driver: Driver) -> None:
    assert await measures(driver) == Measures(0, 0, 0, 0, None)


async def test_what_waits_and_what_does_not(driver: Driver) -> None:
    for name in ("a", "b", "idle"):
        await driver.create(name)
    begun = await driver.begin()
    driver.clock.now += SECOND
    cancelled = spec()
    await driver.submit(cancelled, spec(), spec(not_before=START + 100 * SECOND))
    await driver.submit(spec("b"), spec("b"))
    await driver.cancel(cancelled.id)
    assert await measures(driver) == Measures(agents=3, paused=0, queued=3, scheduled=1, oldest_queued=START + SECOND)
    await driver.finish(begun, starter=STARTER)
    assert await measures(driver) == Measures(agents=3, paused=0, queued=2, scheduled=1, oldest_queued=START + SECOND)


async def test_a_paused_agent_lets_its_turns_wait_on_purpose(driver: Driver) -> None:
    for name in ("a", "b"):
        await driver.create(name)
        await driver.submit(spec(name))
        driver.clock.now += SECOND
    await driver.execute(Pause("a"))
    assert await measures(driver) == Measures(agents=2, paused=1, queued=2, scheduled=0, oldest_queued=START + SECOND)
    await driver.execute(Pause("b"))
    assert (await measures(driver)).oldest_queued is None


async def test_a_delayed_turn_waits_from_its_time_on(driver: Driver) -> None:
    for name in ("a", "b"):
        await driver.create(name)
    due = START + 10 * SECOND
    await driver.submit(spec(not_before=due))
    driver.clock.now = due + SECOND
    await driver.submit(spec("b"))
    assert (await measures(driver)).oldest_queued == due + SECOND
    await driver.promote()
    assert await measures(driver) == Measures(agents=2, paused=0, queued=2, scheduled=0, oldest_queued=due)


async def test_a_deleted_agent_is_none(driver: Driver) -> None:
    await driver.create()
    await driver.submit(spec(), spec(not_before=START + SECOND))
    await driver.execute(DeleteAgent("a", by="tester", force=True))
    assert await measures(driver) == Measures(0, 0, 0, 0, None)


async def test_sizes_of_the_files(open_durable_store: OpenStore) -> None:
    driver = open_durable_store()
    await driver.create()
    found = await driver.store.measure()
    assert found.database_bytes > 4096
    assert found.log_bytes > 4096


async def test_a_notice_has_the_rows_that_it_is_about(driver: Driver) -> None:
    await driver.create(labels={"group": "g"})
    await driver.submit()
    heads = driver.notices[-1].heads
    assert (heads["a"].definition.labels, heads["a"].queued) == ({"group": "g"}, 1)
