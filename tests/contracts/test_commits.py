"""What holds across commands: batches, idempotency, notices, many callers at once, closing."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from pygents_app.commands import Append, Claim, Command, CreateAgent, Enqueue, Enqueued, Pause
from pygents_app.errors import AgentNotFound, KeyReused, ServiceError, Unavailable
from pygents_app.model import Definition, Event, TurnStatus
from pygents_app.ports import Notice
from tests.contracts.conftest import OpenStore
from tests.contracts.driver import STARTER, TOOLS, Driver, record_of, spec
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

T = TypeVar("T")


def enqueue(agent: str = "a", tool: str = "greet") -> Enqueue:
    return Enqueue(agent, (spec(agent, tool),), 1_000_000)


class TestIdempotency:
    async def test_the_same_turn_as_it_is_now(self, driver: Driver) -> None:
        await driver.create()
        one = spec()
        first = await driver.submit(one, record=record_of((one,)))
        again = await driver.submit(spec(), record=record_of((one,)))
        assert (first.replayed, again.replayed) == (False, True)
        assert again.turns == first.turns
        await driver.claim()
        replay = await driver.submit(spec(), record=record_of((one,)))
        assert [placed.turn.status for placed in replay.turns] == [TurnStatus.RUNNING]
        assert (await driver.types()).count("turn.queued") == 1

    async def test_places_are_those_of_now(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        one, two = spec(), spec()
        await driver.submit(spec())
        await driver.submit(one, two, record=record_of((one, two)))
        await driver.finish(begun, starter=STARTER)
        replay = await driver.submit(spec(), spec(), record=record_of((one, two)))
        assert [(placed.turn.id, placed.place) for placed in replay.turns] == [(one.id, 1), (two.id, 2)]

    async def test_another_body_is_refused(self, driver: Driver) -> None:
        await driver.create()
        one = spec()
        await driver.submit(one, record=record_of((one,)))
        with pytest.raises(KeyReused):
            await driver.submit(spec(), record=record_of((one,), digest=b"other"))

    async def test_keys_are_of_one_agent_and_caller(self, driver: Driver) -> None:
        await driver.create("a")
        await driver.create("b")
        for agent, caller in (("a", "me"), ("a", "you"), ("b", "me")):
            one = spec(agent)
            assert not (await driver.submit(one, record=record_of((one,), caller=caller))).replayed

    async def test_twins_at_once_are_one_turn(self, driver: Driver) -> None:
        await driver.create()
        ones = [spec() for _ in range(20)]
        replies = await asyncio.gather(*(driver.submit(one, record=record_of((one,))) for one in ones))
        assert len({reply.turns[0].turn.id for reply in replies}) == 1
        assert sum(not reply.replayed for reply in replies) == 1
        assert (await driver.head()).queued == 1

    async def test_a_refusal_is_not_remembered(self, driver: Driver) -> None:
        one = spec()
        with pytest.raises(AgentNotFound):
            await driver.submit(one, record=record_of((one,)))
        await driver.create()
        assert not (await driver.submit(one, record=record_of((one,)))).replayed

    async def test_it_outlives_a_restart(self, open_durable_store: OpenStore) -> None:
        driver = open_durable_store()
        await driver.create()
        one, two = spec(), spec()
        first = await driver.submit(one, two, record=record_of((one, two)))
        driver = await open_durable_store.reopen()
        again = await driver.submit(spec(), spec(), record=record_of((one, two)))
        assert (again.replayed, again.turns) == (True, first.turns)


class TestBatches:
    async def test_a_refused_command_does_not_fail_its_neighbours(self, driver: Driver) -> None:
        await driver.create()
        commands = (enqueue(), enqueue("nobody"), enqueue(tool="unknown"), enqueue())
        answers = await asyncio.gather(*map(driver.execute, commands), return_exceptions=True)
        assert [isinstance(answer, Enqueued) for answer in answers] == [True, False, False, True]
        assert (await driver.types()) == ["agent.created", "turn.queued", "turn.queued"]

    async def test_a_batch_sees_what_it_wrote_itself(self, driver: Driver) -> None:
        one = spec()
        definition = Definition("a", tools=TOOLS)
        commands: tuple[Command, ...] = (
            CreateAgent(definition),
            Enqueue("a", (one, spec()), 10),
            Claim("a", STARTER),
            Pause("a"),
            enqueue(),
        )
        await asyncio.gather(*map(driver.execute, commands))
        turn = await driver.turn(one.id)
        assert turn.status is TurnStatus.RUNNING
        fence = driver.notices[-1].begun[0].fence
        await asyncio.gather(*(driver.store.execute(Append("a", one.id, fence, (b"%d" % n,))) for n in range(5)))
        assert (await driver.turn(one.id)).values == 5
        head = await driver.head()
        assert (head.queued, head.paused, head.current) == (2, True, one.id)
        await driver.log()

    async def test_commands_of_a_loop_keep_their_order(self, driver: Driver) -> None:
        await driver.create()
        commands = [enqueue() for _ in range(50)]
        replies = await asyncio.gather(*map(driver.execute, commands))
        assert [reply.turns[0].turn.position for reply in replies] == list(range(1, 51))

    async def test_a_cancelled_caller_does_not_take_its_command_back(self, driver: Driver) -> None:
        await driver.create()
        driver.store.execute(enqueue()).cancel()
        await driver.submit()
        assert (await driver.head()).queued == 2


class TestNotices:
    async def test_events_come_in_the_order_of_the_log(self, driver: Driver) -> None:
        await driver.create("a")
        await driver.create("b")
        await asyncio.gather(*(driver.store.execute(enqueue(agent)) for agent in "ab" * 20))
        for agent in "ab":
            assert driver.events(agent) == await driver.log(agent)

    async def test_they_come_before_the_answer(self, driver: Driver) -> None:
        await driver.create()
        for number in range(1, 6):
            await driver.submit()
            assert (await driver.head()).queued == number
            assert len(driver.events()) == number + 1

    async def test_every_turn_is_begun_once(self, driver: Driver) -> None:
        await driver.create()
        ids = [one.id for one in [spec() for _ in range(10)]]
        await asyncio.gather(*(driver.claim() for _ in range(5)), *(driver.submit(starter=STARTER) for _ in ids))
        for _ in range(9):
            begun = [begun for notice in driver.notices for begun in notice.begun][-1]
            await asyncio.gather(driver.finish(begun, starter=STARTER), driver.claim())
        assert len(driver.begun()) == len(set(driver.begun())) == 10

    async def test_a_commit_that_wrote_nothing_is_not_told(self, driver: Driver) -> None:
        await driver.create()
        told = len(driver.notices)
        await driver.create()
        with pytest.raises(AgentNotFound):
            await driver.pause("nobody")
        await driver.claim()
        assert len(driver.notices) == told

    async def test_a_listener_that_fails_harms_nobody(self, driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
        def fails(_: Notice) -> None:
            raise RuntimeError("listener")

        told: list[Notice] = []
        forget = driver.store.listen(fails)
        driver.store.listen(told.append)
        await driver.create()
        assert len(told) == 1
        assert "listener" in caplog.text
        forget()
        caplog.clear()
        await driver.submit()
        assert len(told) == 2
        assert not caplog.records


class TestManyLoops:
    async def test_the_log_is_gapless_under_eight_threads(self, driver: Driver) -> None:
        await driver.create("a")
        await driver.create("b")

        async def submit_many() -> list[Enqueued]:
            return await asyncio.gather(*(driver.store.execute(enqueue("ab"[number % 2])) for number in range(25)))

        replies = await in_threads(8, lambda: asyncio.run(submit_many()))
        assert len({reply.turns[0].turn.id for reply in replies}) == 200
        for agent in "ab":
            assert len(await driver.log(agent)) == (await driver.head(agent)).latest
        heads = await driver.head("a"), await driver.head("b")
        assert sum(head.queued for head in heads) == 200
        assert (heads[0].queued, heads[0].joined) == (104, 104)


class TestClosing:
    async def test_what_was_handed_over_is_committed(self, open_durable_store: OpenStore) -> None:
        driver = open_durable_store()
        await driver.create()
        answers = [driver.store.execute(enqueue()) for _ in range(30)]
        await driver.store.close()
        assert len(await asyncio.gather(*answers)) == 30
        driver = await open_durable_store.reopen()
        assert (await driver.head()).queued == 30

    async def test_later_commands_are_refused(self, driver: Driver) -> None:
        await driver.create()
        await driver.store.close()
        with pytest.raises(Unavailable):
            await driver.submit()
        with pytest.raises(Unavailable):
            await driver.store.check()
        await driver.store.close()

    async def test_a_check_passes_on_an_open_store(self, driver: Driver) -> None:
        await driver.store.check()

    async def test_every_command_is_answered_when_the_store_closes_amid_many_loops(self, driver: Driver) -> None:
        await driver.create()
        going = threading.Event()

        async def submit_until_refused() -> list[Event]:
            while True:
                try:
                    await asyncio.wait_for(driver.store.execute(enqueue()), timeout=10)
                except ServiceError:
                    return []
                going.set()

        threads = asyncio.ensure_future(in_threads(4, lambda: asyncio.run(submit_until_refused())))
        await eventually(going.is_set)
        await driver.store.close()
        assert await asyncio.wait_for(threads, timeout=20) == []


async def in_threads(count: int, work: Callable[[], list[T]]) -> list[T]:
    """What ``work`` answers in each of ``count`` threads at once, in one list."""
    answers: list[T] = []
    gate = threading.Barrier(count)

    def one() -> None:
        gate.wait()
        answers.extend(work())

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    await eventually(lambda: not any(thread.is_alive() for thread in threads), timeout=30)
    return answers
