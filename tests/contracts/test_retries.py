"""Attempts that are tried again, whatever the store: at the head of the mailbox, at their time, as often as allowed."""

import dataclasses
import json
from typing import Any

import pytest
from msgspec.structs import replace

from pygents_app.commands import Append, DeleteAgent, Recover
from pygents_app.errors import Fenced
from pygents_app.model import Begun, Event, EventType, Outcome, TurnSpec, TurnStatus
from pygents_core.tool import Retry
from tests.contracts.driver import DONE, SECOND, START, STARTER, Driver, spec

pytestmark = pytest.mark.anyio

STEADY = Retry(3, delay=2, factor=3, max_delay=5, jitter=False)
FAILED = Outcome(TurnStatus.ERROR, error=b'{"type":"ValueError","message":"x"}')
LATE = Outcome(TurnStatus.TIMEOUT)
DRAINED = Outcome(
    TurnStatus.ERROR, error=b'{"type":"interrupted","message":"x"}', interrupted=True, spares_attempt=True
)
SUSPECTS = STARTER._replace(suspects=True)


def retried(policy: Retry = STEADY, tool: str = "greet") -> TurnSpec:
    return replace(spec(tool=tool), retry=policy)


async def next_begun(driver: Driver, starter: Any = STARTER) -> Begun:
    claimed = await driver.claim(starter=starter)
    assert claimed.begun is not None
    return claimed.begun


def data_of(event: Event) -> Any:
    return json.loads(event.data)


class TestRetrying:
    async def test_it_waits_at_the_head(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        other = (await driver.submit()).turns[0].turn
        await driver.append(begun, b"1", b"2")
        reply = await driver.finish(begun, FAILED, values=(b"3",), starter=STARTER)
        assert (reply.turn.status, reply.begun) == (TurnStatus.QUEUED, None)
        assert (await driver.placed(begun.turn.id)).place == 1
        assert (await driver.placed(other.id)).place == 2
        turn = await driver.turn(begun.turn.id)
        assert (turn.attempt, turn.values, turn.retry_at, turn.output) == (1, 0, START + 2 * SECOND, None)
        head = await driver.head()
        assert (head.idle, head.queued, head.last_error) == (True, 2, None)

    async def test_the_event_says_what_it_supersedes(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        await driver.append(begun, b"1")
        await driver.submit()
        await driver.finish(begun, FAILED, values=(b"2",))
        event = (await driver.log())[-1]
        assert (event.type, event.attempt) == (EventType.TURN_RETRYING, 1)
        assert data_of(event) == {
            "error": {"type": "ValueError", "message": "x"},
            "next_attempt_at": "2027-01-15T08:00:02.000000Z",
            "supersedes": [[4, 6]],
        }
        superseded = [one for one in await driver.log() if 4 <= one.seq <= 6 and one.turn_id == begun.turn.id]
        assert [one.type for one in superseded] == [EventType.TURN_VALUE] * 2

    async def test_without_values_nothing_is_superseded(self, driver: Driver) -> None:
        await driver.create()
        await driver.finish(await driver.begin(retried()), LATE)
        event = data_of((await driver.log())[-1])
        assert (event["error"]["type"], event["supersedes"]) == ("timeout", [])

    async def test_it_begins_when_its_time_has_come(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        await driver.submit()
        await driver.finish(begun, FAILED)
        assert (await driver.store.ready_agents(10), await driver.store.next_due()) == ([], (START + 2 * SECOND, ["a"]))
        driver.clock.now += 2 * SECOND - 1
        assert (await driver.claim()).begun is None
        assert (await driver.promote(starter=STARTER)).begun is None
        driver.clock.now += 1
        promoted = await driver.promote(starter=STARTER)
        assert promoted.begun is not None
        assert (promoted.begun.turn.id, promoted.begun.turn.attempt) == (begun.turn.id, 2)
        assert await driver.store.next_due() is None

    async def test_nothing_overtakes_it(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        await driver.finish(begun, FAILED, starter=STARTER)
        later = await driver.submit(starter=STARTER)
        assert later.turns[0].place == 2
        assert (await driver.resume(starter=STARTER)).head.current is None
        driver.clock.now += 2 * SECOND
        assert (await next_begun(driver)).turn.id == begun.turn.id

    async def test_a_promotion_that_cannot_begin_it_makes_it_ready(self, driver: Driver) -> None:
        """Or it would be due for ever, and somebody would look at it all the time."""
        await driver.create()
        await driver.finish(await driver.begin(retried()), FAILED)
        driver.clock.now += 2 * SECOND
        await driver.promote()
        assert (await driver.store.ready_agents(10), await driver.store.next_due()) == (["a"], None)
        assert driver.ready() == ["a"]
        assert (await next_begun(driver)).turn.attempt == 2

    async def test_as_often_as_allowed(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        waits = []
        for _ in range(2):
            turn = (await driver.finish(begun, FAILED, values=(b"1",))).turn
            assert turn.retry_at is not None
            waits.append((turn.retry_at - driver.clock.now) / SECOND)
            driver.clock.now = turn.retry_at
            begun = await next_begun(driver)
        ended = (await driver.finish(begun, FAILED, values=(b"1", b"2"))).turn
        assert waits == [2, 5]
        assert (ended.status, ended.attempt, ended.values) == (TurnStatus.ERROR, 3, 2)
        assert (await driver.types()).count("turn.retrying") == 2
        assert (await driver.types())[-1] == "turn.error"

    async def test_a_later_attempt_may_complete(self, driver: Driver) -> None:
        await driver.create()
        await driver.finish(await driver.begin(retried()), FAILED, values=(b"1",), memory=b"[1]")
        assert await driver.store.read_memory("a") is None
        driver.clock.now += 2 * SECOND
        ended = (await driver.finish(await next_begun(driver), values=(b"7",), memory=b"[2]")).turn
        assert (ended.status, ended.values, ended.attempt) == (TurnStatus.COMPLETED, 1, 2)
        values = [data_of(event)["index"] for event in await driver.log() if event.type is EventType.TURN_VALUE]
        assert values == [0, 0]
        assert await driver.store.read_memory("a") == b"[2]"

    @pytest.mark.parametrize(("on", "outcome"), [(("timeout",), FAILED), (("error",), LATE), (("error",), DRAINED)])
    async def test_only_what_the_policy_names(self, driver: Driver, on: tuple[str, ...], outcome: Outcome) -> None:
        await driver.create()
        begun = await driver.begin(retried(dataclasses.replace(STEADY, on=on)))
        assert (await driver.finish(begun, outcome)).turn.ended

    async def test_at_once_with_the_end(self, driver: Driver) -> None:
        """One commit: the attempt that failed, and the begin of the next one."""
        await driver.create()
        begun = await driver.begin(retried(Retry(2, delay=0)))
        reply = await driver.finish(begun, FAILED, starter=STARTER)
        assert reply.begun is not None
        assert (reply.begun.turn.id, reply.begun.turn.attempt, reply.begun.fence) == (begun.turn.id, 2, begun.fence)
        assert (await driver.types())[-2:] == ["turn.retrying", "turn.started"]

    async def test_an_end_of_the_last_attempt_is_not_one_of_the_next(self, driver: Driver) -> None:
        """Both run under one fence; whoever writes ends for two attempts says which one it means."""
        await driver.create()
        begun = await driver.begin(retried(Retry(2, delay=0)))
        reply = await driver.finish(begun, FAILED, starter=STARTER, attempt=1)
        assert reply.begun is not None
        assert (reply.begun.fence, reply.begun.turn.attempt) == (begun.fence, 2)
        with pytest.raises(Fenced):
            await driver.finish(begun, DONE, attempt=1)
        assert (await driver.turn(begun.turn.id)).status is TurnStatus.RUNNING
        assert (await driver.finish(reply.begun, DONE, attempt=2)).turn.status is TurnStatus.COMPLETED

    async def test_values_of_the_last_attempt_are_not_those_of_the_next(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried(Retry(2, delay=0)))
        await driver.finish(begun, FAILED, starter=STARTER)
        with pytest.raises(Fenced):
            await driver.execute(Append("a", begun.turn.id, begun.fence, (b"late",), attempt=1))
        await driver.execute(Append("a", begun.turn.id, begun.fence, (b"1",), attempt=2))
        assert (await driver.turn(begun.turn.id)).values == 1

    async def test_while_its_code_has_not_stopped(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        await driver.finish(begun, LATE, hold=True)
        driver.clock.now += 10 * SECOND
        assert (await driver.promote(starter=STARTER)).begun is None
        released = await driver.release(begun, STARTER)
        assert released.begun is not None
        assert released.begun.turn.attempt == 2


class TestCancel:
    async def test_between_two_attempts(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        await driver.submit()
        await driver.finish(begun, FAILED)
        assert not (await driver.cancel(begun.turn.id)).asked
        assert (await driver.turn(begun.turn.id)).status is TurnStatus.CANCELLED
        assert driver.ready() == ["a"]
        assert (await next_begun(driver)).turn.id != begun.turn.id

    async def test_before_the_attempt_failed(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        await driver.cancel(begun.turn.id)
        assert (await driver.finish(begun, FAILED)).turn.status is TurnStatus.CANCELLED


class TestDrain:
    async def test_it_uses_up_no_attempt(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried(dataclasses.replace(STEADY, max_attempts=1)))
        for attempt in (1, 2, 3):
            turn = (await driver.finish(begun, DRAINED)).turn
            assert (turn.status, turn.attempt, turn.retry_at) == (TurnStatus.QUEUED, attempt, None)
            assert (await driver.store.ready_agents(10), await driver.store.next_due()) == (["a"], None)
            begun = await next_begun(driver)
        assert (await driver.finish(begun, FAILED)).turn.status is TurnStatus.ERROR


DAY = 24 * 3600 * SECOND


class TestWrongClock:
    """A day ahead when the attempt fails, right afterwards: no pause is longer than the policy's longest."""

    async def fail_a_day_ahead(self, driver: Driver) -> Begun:
        await driver.create()
        begun = await driver.begin(retried())
        driver.clock.now += DAY
        await driver.finish(begun, FAILED)
        driver.clock.now = START
        return begun

    async def test_whatever_would_begin_it_does(self, driver: Driver) -> None:
        begun = await self.fail_a_day_ahead(driver)
        claimed = await next_begun(driver)
        assert (claimed.turn.id, claimed.turn.attempt) == (begun.turn.id, 2)

    async def test_a_promotion_makes_it_ready(self, driver: Driver) -> None:
        await self.fail_a_day_ahead(driver)
        await driver.promote()
        assert (await driver.store.ready_agents(10), await driver.store.next_due()) == (["a"], None)

    async def test_what_may_be_a_pause_is_one(self, driver: Driver) -> None:
        await self.fail_a_day_ahead(driver)
        driver.clock.now = START + DAY + 2 * SECOND - 5 * SECOND
        assert (await driver.claim()).begun is None
        driver.clock.now -= 1
        assert (await driver.claim()).begun is not None

    async def test_no_turn_ends_before_it_has_begun(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        driver.clock.now -= DAY
        turn = (await driver.finish(begun)).turn
        assert turn.start_time == turn.end_time == START


class TestCrash:
    async def recover(self, driver: Driver, max_crashes: int = 3) -> None:
        await driver.execute(Recover("a", STARTER, max_crashes))

    async def test_a_lost_attempt_is_tried_again(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        await driver.append(begun, b"1")
        await self.recover(driver)
        turn = await driver.turn(begun.turn.id)
        assert (turn.status, turn.crashes, turn.retry_at) == (TurnStatus.QUEUED, 1, START + 2 * SECOND)
        event = data_of((await driver.log())[-1])
        assert (event["error"]["type"], event["supersedes"]) == ("interrupted", [[4, 4]])
        assert event["error"]["message"] == "The process ended while the turn was running."

    async def test_a_suspect_begins_only_where_it_is_asked_for(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried(Retry(3, delay=0)))
        await driver.submit()
        await self.recover(driver)
        await driver.promote()
        claimed = await driver.claim()
        assert (claimed.begun, claimed.next and claimed.next.id) == (None, begun.turn.id)
        assert (await next_begun(driver, SUSPECTS)).turn.attempt == 2

    async def test_poison(self, driver: Driver) -> None:
        """Whatever its policy says; and the mailbox goes on."""
        await driver.create()
        begun = await driver.begin(retried(Retry(100, delay=0)))
        following = (await driver.submit()).turns[0].turn
        for _ in range(2):
            await self.recover(driver)
            await driver.promote()
            begun = await next_begun(driver, SUSPECTS)
        await self.recover(driver)
        turn = await driver.turn(begun.turn.id)
        assert (turn.status, turn.attempt, turn.crashes) == (TurnStatus.ERROR, 3, 3)
        assert json.loads(turn.error or b"")["type"] == "poison"
        assert (await driver.head()).current == following.id

    async def test_attempts_and_crashes_are_counted_apart(self, driver: Driver) -> None:
        await driver.create()
        await driver.begin(retried(Retry(2, delay=0)))
        await self.recover(driver)
        await driver.promote()
        begun = await next_begun(driver, SUSPECTS)
        await self.recover(driver)
        turn = await driver.turn(begun.turn.id)
        assert (turn.status, json.loads(turn.error or b"")["type"]) == (TurnStatus.ERROR, "interrupted")

    async def test_a_cancel_wins_over_all(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin(retried())
        await driver.cancel(begun.turn.id)
        await self.recover(driver, max_crashes=1)
        assert (await driver.turn(begun.turn.id)).status is TurnStatus.CANCELLED


async def test_policies_are_kept(driver: Driver) -> None:
    policy = Retry(7, delay=0.5, factor=1.5, max_delay=9.25, jitter=False, on=("timeout", "error"))
    await driver.create()
    kept = replace(retried(policy), retry_of="another")
    await driver.submit(kept)
    assert (await driver.turn(kept.id)).spec == kept


async def test_a_deleted_agent_waits_for_no_retry(driver: Driver) -> None:
    await driver.create()
    await driver.finish(await driver.begin(retried()), FAILED)
    await driver.execute(DeleteAgent("a", "tester", force=True))
    assert await driver.store.next_due() is None
