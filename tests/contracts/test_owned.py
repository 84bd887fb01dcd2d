"""What commands do to turns that run, wait for their time, or are to stop, whatever the store."""

import pytest

from pygents_app.errors import Fenced, TurnEnded, TurnNotFound
from pygents_app.model import EventType, Fence, Outcome, TurnRef, TurnStatus
from tests.contracts.driver import DONE, NODE, SECOND, START, STARTER, STOP, Driver, spec

pytestmark = pytest.mark.anyio


class TestAppend:
    async def test_values_are_numbered_across_appends(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await driver.append(begun, b"1", b"2")
        reply = await driver.append(begun, b'"x"')
        values = [event.data for event in await driver.log() if event.type is EventType.TURN_VALUE]
        assert values == [b'{"index":0,"value":1}', b'{"index":1,"value":2}', b'{"index":2,"value":"x"}']
        turn = await driver.turn(begun.turn.id)
        assert (turn.values, turn.last_seq, reply.latest) == (3, 6, 6)

    @pytest.mark.parametrize("fence", [Fence(NODE, 9), Fence("node-2", 1)])
    async def test_a_stranger_writes_nothing(self, driver: Driver, fence: Fence) -> None:
        await driver.create()
        begun = await driver.begin()
        with pytest.raises(Fenced):
            await driver.append(begun, b"1", fence=fence)
        with pytest.raises(Fenced):
            await driver.finish(begun, fence=fence)
        assert await driver.types() == ["agent.created", "turn.queued", "turn.started"]

    async def test_nothing_is_logged_after_a_cancel(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await driver.cancel(begun.turn.id)
        await driver.append(begun, b"1")
        assert (await driver.turn(begun.turn.id)).values == 0


class TestFinish:
    async def test_ends_with_values_output_and_memory(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        driver.clock.now += SECOND
        reply = await driver.finish(begun, values=(b"1",), memory=b"[1]")
        turn = await driver.turn(begun.turn.id)
        assert turn == reply.turn
        assert (turn.status, turn.values, turn.output) == (TurnStatus.COMPLETED, 1, b'"done"')
        assert (turn.start_time, turn.end_time) == (START, START + SECOND)
        assert (turn.first_seq, turn.last_seq) == (2, 5)
        assert await driver.store.read_memory("a") == b"[1]"
        assert (await driver.head()).idle
        assert [ended.id for ended in driver.notices[-1].ended] == [turn.id]

    async def test_memory_is_kept_only_by_completed(self, driver: Driver) -> None:
        await driver.create()
        await driver.finish(await driver.begin(), Outcome(TurnStatus.ERROR, error=b'{"type":"X"}'), memory=b"lost")
        assert await driver.store.read_memory("a") is None
        assert b'{"type":"X"}' in ((await driver.head()).last_error or b"")

    async def test_begins_the_next(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        (placed,) = (await driver.submit()).turns
        reply = await driver.finish(begun, starter=STARTER)
        assert reply.begun is not None
        assert (reply.begun.turn.id, reply.begun.fence) == (placed.turn.id, begun.fence)
        assert (await driver.types())[-2:] == ["turn.completed", "turn.started"]

    async def test_passes_over_what_was_cancelled(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        first, second = (placed.turn.id for placed in (await driver.submit(spec(), spec())).turns)
        await driver.cancel(first)
        assert (await driver.placed(second)).place == 1
        reply = await driver.finish(begun, starter=STARTER)
        assert reply.begun is not None
        assert reply.begun.turn.id == second
        assert (await driver.head()).queued == 0

    async def test_leaves_the_next_to_others_if_it_cannot_begin_it(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        (placed,) = (await driver.submit(spec(tool="locked"))).turns
        reply = await driver.finish(begun, starter=STARTER)
        assert (reply.begun, reply.next) == (None, placed.turn)
        assert driver.ready() == ["a"]

    async def test_a_returned_turn_joins_the_mailbox(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        waiting, returned = spec(), spec()
        await driver.submit(waiting)
        reply = await driver.finish(begun, returned=returned, starter=STARTER)
        assert reply.begun is not None
        assert reply.begun.turn.id == waiting.id
        assert (await driver.placed(returned.id)).place == 1
        assert (await driver.log())[-3].data.endswith(f'"next":"{returned.id}"}}'.encode())

    async def test_a_returned_turn_begins_if_nothing_waits(self, driver: Driver) -> None:
        await driver.create()
        returned = spec()
        reply = await driver.finish(await driver.begin(), returned=returned, starter=STARTER)
        assert reply.begun is not None
        assert reply.begun.turn.id == returned.id
        assert await driver.turn(returned.id) == reply.begun.turn

    async def test_a_returned_turn_may_be_delayed(self, driver: Driver) -> None:
        await driver.create()
        returned = spec(not_before=START + SECOND)
        reply = await driver.finish(await driver.begin(), returned=returned, starter=STARTER)
        assert (reply.begun, reply.next) == (None, None)
        assert (await driver.turn(returned.id)).status is TurnStatus.SCHEDULED
        assert list(driver.notices[-1].scheduled) == ["a"]

    async def test_a_returned_turn_that_is_refused_fails_the_turn(self, driver: Driver) -> None:
        await driver.create()
        refused = spec(tool="unknown")
        reply = await driver.finish(await driver.begin(), returned=refused)
        assert reply.turn.status is TurnStatus.ERROR
        assert await driver.store.get_turn(refused.id) is None

    async def test_a_held_agent_goes_on_when_it_is_released(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        (placed,) = (await driver.submit()).turns
        await driver.finish(begun, hold=True, starter=STARTER)
        assert (await driver.claim()).begun is None
        assert await driver.store.owned_agents() == ["a"]
        released = await driver.release(begun, STARTER)
        assert released.begun is not None
        assert released.begun.turn.id == placed.turn.id

    async def test_a_held_agent_is_idle_when_it_is_released_with_nothing_to_do(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await driver.finish(begun, hold=True)
        await driver.release(begun, STARTER)
        assert (await driver.head()).idle
        with pytest.raises(Fenced):
            await driver.release(begun)


class TestCancel:
    async def test_a_queued_turn_never_starts(self, driver: Driver) -> None:
        await driver.create()
        (placed,) = (await driver.submit()).turns
        reply = await driver.cancel(placed.turn.id)
        assert not reply.asked
        assert (reply.turn.status, reply.turn.cancel) == (TurnStatus.CANCELLED, STOP)
        assert await driver.turn(placed.turn.id) == reply.turn
        assert (await driver.claim()).begun is None
        assert (await driver.head()).queued == 0

    async def test_a_scheduled_turn(self, driver: Driver) -> None:
        await driver.create()
        (placed,) = (await driver.submit(spec(not_before=START + 1))).turns
        await driver.cancel(placed.turn.id)
        driver.clock.now += SECOND
        await driver.promote(starter=STARTER)
        assert driver.begun() == []
        assert (await driver.head()).scheduled == 0
        assert await driver.store.next_due() is None

    async def test_wins_over_a_finish_that_comes_later(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        reply = await driver.cancel(begun.turn.id)
        assert reply.asked
        assert list(driver.notices[-1].cancelling) == [TurnRef("a", begun.turn.id)]
        finished = await driver.finish(begun, values=(b"1",), memory=b"no", returned=spec())
        assert finished.turn.status is TurnStatus.CANCELLED
        assert await driver.store.read_memory("a") is None
        assert (await driver.types())[-2:] == ["turn.started", "turn.cancelled"]

    async def test_loses_to_a_finish_that_came_before(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await driver.finish(begun)
        with pytest.raises(TurnEnded) as caught:
            await driver.cancel(begun.turn.id)
        assert caught.value.fields["turn"].status is TurnStatus.COMPLETED

    async def test_again_says_the_same(self, driver: Driver) -> None:
        await driver.create()
        (placed,) = (await driver.submit()).turns
        first, again = await driver.cancel(placed.turn.id), await driver.cancel(placed.turn.id)
        assert first == again
        assert (await driver.types()).count("turn.cancelled") == 1

    async def test_a_turn_of_another_agent_is_not_found(self, driver: Driver) -> None:
        await driver.create("a")
        await driver.create("b")
        (placed,) = (await driver.submit()).turns
        with pytest.raises(TurnNotFound):
            await driver.cancel(placed.turn.id, "b")
        with pytest.raises(TurnNotFound):
            await driver.cancel("no-such-turn")


class TestPause:
    async def test_the_running_turn_finishes_and_the_next_waits(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        (placed,) = (await driver.submit()).turns
        await driver.pause()
        assert (await driver.finish(begun, starter=STARTER)).begun is None
        assert await driver.store.ready_agents(10) == []
        assert driver.ready() == []
        await driver.resume(starter=STARTER)
        assert driver.begun() == [begun.turn.id, placed.turn.id]

    async def test_twice_is_once(self, driver: Driver) -> None:
        await driver.create()
        await driver.pause()
        await driver.pause()
        await driver.resume()
        await driver.resume()
        assert await driver.types() == ["agent.created", "agent.paused", "agent.resumed"]


class TestPromote:
    async def test_due_turns_join_by_time_then_acceptance(self, driver: Driver) -> None:
        await driver.create()
        late, tie, early, far = (spec(not_before=START + offset) for offset in (20, 20, 10, 99))
        await driver.submit(late, tie, early, far)
        await driver.submit()
        driver.clock.now += 20
        await driver.promote()
        places = [(await driver.placed(one.id)).place for one in (early, late, tie, far)]
        assert places == [2, 3, 4, None]
        assert ((await driver.head()).queued, (await driver.head()).scheduled) == (4, 1)
        assert await driver.store.next_due() == (START + 99, ["a"])

    async def test_begins_what_became_due(self, driver: Driver) -> None:
        await driver.create()
        one = spec(not_before=START + 1)
        await driver.submit(one)
        assert (await driver.promote(starter=STARTER)).begun is None
        driver.clock.now += 1
        claimed = await driver.promote(starter=STARTER)
        assert claimed.begun is not None
        assert claimed.begun.turn.id == one.id
        assert await driver.turn(one.id) == claimed.begun.turn
        assert (await driver.finish(claimed.begun)).turn.status is TurnStatus.COMPLETED


class TestRecover:
    async def test_the_running_turn_is_interrupted_and_the_mailbox_goes_on(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        (placed,) = (await driver.submit()).turns
        claimed = await driver.recover(starter=STARTER)
        turn = await driver.turn(begun.turn.id)
        assert turn.status is TurnStatus.ERROR
        assert b'"interrupted"' in (turn.error or b"")
        assert claimed.begun is not None
        assert (claimed.begun.turn.id, claimed.begun.fence.epoch) == (placed.turn.id, 2)
        with pytest.raises(Fenced):
            await driver.finish(begun)

    async def test_a_cancel_before_the_crash_wins(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await driver.cancel(begun.turn.id)
        await driver.recover()
        assert (await driver.turn(begun.turn.id)).status is TurnStatus.CANCELLED

    async def test_a_held_agent_is_freed(self, driver: Driver) -> None:
        await driver.create()
        await driver.finish(await driver.begin(), DONE, hold=True)
        await driver.recover()
        assert (await driver.head()).idle
