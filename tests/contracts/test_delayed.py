"""A delayed turn joins when it is due, whoever comes first: no late timer lets a later turn overtake it."""

from collections.abc import Awaitable, Callable

import pytest

from pygents_app.model import Begun, TurnSpec, TurnStatus
from tests.contracts.driver import NODE, SECOND, START, STARTER, Driver, spec

pytestmark = pytest.mark.anyio


async def overdue(driver: Driver, tool: str = "greet") -> TurnSpec:
    """A delayed turn of an agent, past its time, that nobody has promoted."""
    one = spec(tool=tool, not_before=driver.clock.now + SECOND)
    await driver.submit(one)
    driver.clock.now += 2 * SECOND
    return one


async def finish(driver: Driver, begun: Begun) -> object:
    return await driver.finish(begun, starter=STARTER)


async def finish_with_returned(driver: Driver, begun: Begun) -> object:
    return await driver.finish(begun, returned=spec(), starter=STARTER)


async def recover(driver: Driver, begun: Begun) -> object:
    return await driver.recover(starter=STARTER)


async def release(driver: Driver, begun: Begun) -> object:
    await driver.cancel(begun.turn.id)
    await driver.finish(begun, hold=True)
    return await driver.release(begun, STARTER)


class TestEnqueue:
    async def test_a_turn_accepted_after_it_was_due_comes_after_it(self, driver: Driver) -> None:
        await driver.create()
        first = await overdue(driver)
        (placed,) = (await driver.submit()).turns
        assert (placed.turn.position, placed.place) == (2, 2)
        due = await driver.placed(first.id)
        assert (due.turn.status, due.turn.position, due.place) == (TurnStatus.QUEUED, 1, 1)
        head = await driver.head()
        assert (head.queued, head.scheduled, head.joined) == (2, 0, 2)
        assert await driver.store.next_due() is None

    async def test_it_begins_instead_of_the_accepted_one(self, driver: Driver) -> None:
        await driver.create()
        first = await overdue(driver)
        (placed,) = (await driver.submit(starter=STARTER)).turns
        assert driver.begun() == [first.id]
        assert (placed.turn.status, placed.place) == (TurnStatus.QUEUED, 1)
        assert await driver.placed(placed.turn.id) == placed

    async def test_by_time_then_acceptance_and_what_is_not_due_stays(self, driver: Driver) -> None:
        await driver.create()
        late, tie, early, far = (spec(not_before=START + offset) for offset in (20, 20, 10, 99))
        await driver.submit(late, tie, early, far)
        driver.clock.now += 20
        (placed,) = (await driver.submit()).turns
        assert [(await driver.placed(one.id)).place for one in (early, late, tie, far)] == [1, 2, 3, None]
        assert placed.place == 4

    async def test_due_and_accepted_in_one_moment(self, driver: Driver) -> None:
        await driver.create()
        first = spec(not_before=START + SECOND)
        await driver.submit(first)
        driver.clock.now = START + SECOND
        (placed,) = (await driver.submit(spec(not_before=START + SECOND))).turns
        assert ((await driver.placed(first.id)).place, placed.place) == (1, 2)

    async def test_a_refusal_lets_nothing_join(self, driver: Driver) -> None:
        await driver.create()
        first = await overdue(driver)
        with pytest.raises(Exception, match="does not accept"):
            await driver.submit(spec(tool="unknown"))
        assert (await driver.turn(first.id)).status is TurnStatus.SCHEDULED

    async def test_it_is_promoted_no_second_time(self, driver: Driver) -> None:
        await driver.create()
        first = await overdue(driver)
        await driver.submit()
        await driver.promote()
        assert ((await driver.head()).queued, (await driver.turn(first.id)).position) == (2, 1)


class TestBegin:
    async def test_claim(self, driver: Driver) -> None:
        await driver.create()
        (queued,) = (await driver.submit()).turns
        first = await overdue(driver)
        assert (await driver.claim()).begun is not None
        assert driver.begun() == [queued.turn.id]
        assert (await driver.placed(first.id)).place == 1

    async def test_claim_of_an_empty_mailbox(self, driver: Driver) -> None:
        await driver.create()
        first = await overdue(driver)
        claimed = await driver.claim()
        assert claimed.begun is not None
        assert await driver.turn(first.id) == claimed.begun.turn

    async def test_claim_that_cannot_begin_it_names_it_as_it_is(self, driver: Driver) -> None:
        await driver.create()
        first = await overdue(driver, tool="locked")
        claimed = await driver.claim()
        assert claimed.begun is None
        assert claimed.next == await driver.turn(first.id)
        assert claimed.next.status is TurnStatus.QUEUED

    @pytest.mark.parametrize("end", [finish, finish_with_returned, release, recover])
    async def test_what_ends_a_turn_begins_it(
        self, driver: Driver, end: Callable[[Driver, Begun], Awaitable[object]]
    ) -> None:
        await driver.create()
        begun = await driver.begin()
        first = await overdue(driver)
        await end(driver, begun)
        assert driver.begun() == [begun.turn.id, first.id]
        head = await driver.head()
        assert (head.current, head.scheduled, head.node) == (first.id, 0, NODE)
        await driver.log()

    async def test_what_was_queued_before_begins_first(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        (queued,) = (await driver.submit()).turns
        first = await overdue(driver)
        await driver.finish(begun, returned=spec(), starter=STARTER)
        assert driver.begun() == [begun.turn.id, queued.turn.id]
        assert (await driver.placed(first.id)).place == 1

    async def test_resume(self, driver: Driver) -> None:
        await driver.create()
        await driver.pause()
        first = await overdue(driver)
        await driver.resume(starter=STARTER)
        assert driver.begun() == [first.id]

    async def test_a_held_agent_lets_it_join_and_wait(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        first = await overdue(driver)
        await driver.finish(begun, hold=True, starter=STARTER)
        assert (await driver.placed(first.id)).place == 1
        assert driver.begun() == [begun.turn.id]
