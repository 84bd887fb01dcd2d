"""Who asked for a chain of turns is stored with each of them; and a turn that a turn has made is charged once."""

import pytest
from msgspec.structs import replace

from pygents_app.commands import Origin
from pygents_app.model import Asker, Begun, Outcome, TurnSpec, TurnStatus
from pygents_core.tool import Retry
from tests.contracts.conftest import OpenStore
from tests.contracts.driver import SECOND, STARTER, Driver, record_of, spec

pytestmark = pytest.mark.anyio

ASKER = Asker("r-1", "k1")
ASKED = replace(spec(), asker=ASKER)


def child(sender: Begun, agent: str = "b", *, asker: Asker | None = ASKER, not_before: int | None = None) -> TurnSpec:
    """A turn that this one makes."""
    return replace(spec(agent, not_before=not_before), parent=sender.turn.ref, root=sender.turn.id, asker=asker)


def origin_of(sender: Begun) -> Origin:
    return Origin(sender.turn.ref, sender.fence)


def charged(driver: Driver) -> list[str]:
    return [caller for notice in driver.notices for caller in notice.charged]


@pytest.mark.parametrize("asker", [ASKER, Asker("r-1"), Asker("r-1", "@192.0.2.7"), None])
async def test_it_is_known_by_the_turn(driver: Driver, asker: Asker | None) -> None:
    await driver.create()
    one = replace(spec(), asker=asker)
    await driver.submit(one)
    assert (await driver.turn(one.id)).spec.asker == asker
    assert (await driver.begin_next()).turn.spec.asker == asker


async def test_of_a_turn_that_begins_at_once(driver: Driver) -> None:
    await driver.create()
    assert (await driver.begin(ASKED)).turn.spec.asker == ASKER


async def test_it_outlives_the_process(open_durable_store: OpenStore) -> None:
    driver = open_durable_store()
    await driver.create()
    await driver.submit(ASKED)
    driver = await open_durable_store.reopen()
    assert (await driver.begin_next()).turn.spec.asker == ASKER


class TestCharging:
    async def test_what_comes_from_outside_is_not_charged(self, driver: Driver) -> None:
        """It was counted as a request."""
        await driver.create()
        await driver.submit(ASKED, starter=STARTER)
        await driver.submit(*(replace(spec(), asker=ASKER) for _ in range(3)))
        assert charged(driver) == []

    async def test_a_send_is_charged_and_its_like_in_a_re_run_is_not(self, driver: Driver) -> None:
        await driver.create()
        await driver.create("b")
        sender = await driver.begin(ASKED)
        sent = child(sender)
        for _ in range(2):
            await driver.submit(sent, record=record_of((sent,)), origin=origin_of(sender))
        assert charged(driver) == ["k1"]

    async def test_one_that_is_put_for_later_is_charged_when_it_is_put(self, driver: Driver) -> None:
        await driver.create()
        sender = await driver.begin(ASKED)
        await driver.submit(child(sender, "a", not_before=driver.clock.now + SECOND), origin=origin_of(sender))
        assert charged(driver) == ["k1"]
        await driver.finish(sender)
        driver.clock.now += 2 * SECOND
        await driver.promote(starter=STARTER)
        assert len(driver.begun()) == 2
        assert charged(driver) == ["k1"]

    @pytest.mark.parametrize("begins", [True, False])
    async def test_one_that_is_returned_is_charged_if_it_is_accepted(self, driver: Driver, begins: bool) -> None:
        await driver.create()
        sender = await driver.begin(ASKED)
        await driver.finish(sender, returned=child(sender, "a"), starter=STARTER if begins else None)
        assert charged(driver) == ["k1"]

    async def test_one_that_is_refused_is_not(self, driver: Driver) -> None:
        await driver.create()
        sender = await driver.begin(ASKED)
        await driver.finish(sender, returned=replace(child(sender, "a"), tool="no-such-tool"))
        assert charged(driver) == []

    async def test_further_attempts_are_not(self, driver: Driver) -> None:
        await driver.create()
        await driver.create("b")
        sender = await driver.begin(ASKED)
        sent = replace(child(sender), retry=Retry(max_attempts=3, delay=0))
        await driver.submit(sent, origin=origin_of(sender), starter=STARTER)
        for _ in range(2):
            begun = next(begun for begun in reversed([b for n in driver.notices for b in n.begun]))
            await driver.finish(begun, Outcome(TurnStatus.ERROR, error=b'{"type":"x","message":"y"}'))
            driver.clock.now += 10 * SECOND
            await driver.promote("b", starter=STARTER)
        assert (await driver.turn(sent.id)).attempt == 3
        assert charged(driver) == ["k1"]

    @pytest.mark.parametrize("asker", [None, Asker("r-1")])
    async def test_those_of_nobody_are_charged_to_nobody(self, driver: Driver, asker: Asker | None) -> None:
        await driver.create()
        await driver.create("b")
        sender = await driver.begin(replace(spec(), asker=asker))
        await driver.submit(child(sender, asker=asker), origin=origin_of(sender))
        await driver.finish(sender, returned=child(sender, "a", asker=asker))
        assert charged(driver) == []
