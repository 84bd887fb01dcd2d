"""What goes and what stays when a log is pruned, whatever the store."""

from typing import Any

import pytest

from pygents_app.commands import DeleteAgent, Prune, Restore
from pygents_app.errors import AgentNotFound
from pygents_app.model import TurnStatus
from tests.contracts.driver import SECOND, START, STARTER, Driver, record_of, spec

pytestmark = pytest.mark.anyio

MANY = 1_000_000


async def prune(driver: Driver, *, keep: int = MANY, before: int = 0, ended_before: int = 0, rows: int = 500) -> int:
    reply: Any = await driver.execute(Prune("a", keep, before, ended_before, rows))
    return int(reply.rows)


async def prune_all(driver: Driver, **bounds: int) -> None:
    while await prune(driver, **bounds):
        pass


async def seqs(driver: Driver, agent: str = "a") -> list[int]:
    return [event.seq for event in await driver.store.read_events(agent, 0, 10_000)]


async def log_of(driver: Driver, turns: int) -> list[str]:
    """An agent whose log has a created event and three for each of these ended turns; one second passes with each."""
    await driver.create()
    ids = []
    for _ in range(turns):
        driver.clock.now += SECOND
        begun = await driver.begin()
        await driver.finish(begun)
        ids.append(begun.turn.id)
    return ids


class TestEvents:
    async def test_the_last_ones_stay(self, driver: Driver) -> None:
        await log_of(driver, 3)
        assert await prune(driver, keep=4) == 6
        assert await seqs(driver) == [7, 8, 9, 10]
        head = await driver.head()
        assert (head.earliest, head.latest, head.length, head.skipped) == (7, 10, 4, 0)
        assert await prune(driver, keep=4) == 0

    async def test_old_ones_go(self, driver: Driver) -> None:
        await log_of(driver, 3)
        await prune_all(driver, before=START + 2 * SECOND)
        assert await seqs(driver) == [5, 6, 7, 8, 9, 10]

    async def test_whichever_comes_first(self, driver: Driver) -> None:
        await log_of(driver, 3)
        await prune_all(driver, keep=2, before=START + 2 * SECOND)
        assert await seqs(driver) == [9, 10]
        await prune_all(driver, keep=2, before=START + 100 * SECOND)
        assert await seqs(driver) == []

    async def test_an_empty_log_goes_on_where_it_was(self, driver: Driver) -> None:
        await log_of(driver, 1)
        await prune_all(driver, keep=0)
        head = await driver.head()
        assert (head.earliest, head.latest, head.length) == (5, 4, 0)
        await driver.begin()
        assert await seqs(driver) == [5, 6]
        assert (await driver.head()).earliest == 5

    async def test_a_slice_at_a_time(self, driver: Driver) -> None:
        await log_of(driver, 3)
        assert [await prune(driver, keep=1, rows=4) for _ in range(4)] == [4, 4, 1, 0]
        assert await seqs(driver) == [10]

    async def test_always_a_prefix(self, driver: Driver) -> None:
        """The clock was wrong for a while: what follows an event that seems young stays."""
        await driver.create()
        driver.clock.now = START + 50 * SECOND
        await driver.submit()
        driver.clock.now = START + SECOND
        await driver.submit()
        await prune_all(driver, before=START + 10 * SECOND)
        assert await seqs(driver) == [2, 3]

    async def test_others_keep_theirs(self, driver: Driver) -> None:
        await driver.create("b")
        await log_of(driver, 1)
        await prune_all(driver, keep=0)
        assert await seqs(driver, "b") == [1]

    async def test_with_other_writes_in_one_commit(self, driver: Driver) -> None:
        await log_of(driver, 1)
        first = driver.execute(Prune("a", 1, 0, 0, 500))
        second = driver.submit()
        assert (await first).rows == 3
        await second
        assert await seqs(driver) == [4, 5]

    async def test_of_nobody(self, driver: Driver) -> None:
        with pytest.raises(AgentNotFound):
            await prune(driver)
        await driver.create()
        await driver.execute(DeleteAgent("a", "tester"))
        with pytest.raises(AgentNotFound):
            await prune(driver, keep=0)


class TestRunning:
    async def test_its_events_stay(self, driver: Driver) -> None:
        await log_of(driver, 2)
        begun = await driver.begin()
        await driver.append(begun, b"1", b"2")
        await prune_all(driver, keep=0)
        assert await seqs(driver) == [8, 9, 10, 11]
        await driver.finish(begun)
        await prune_all(driver, keep=0)
        assert await seqs(driver) == []

    async def test_what_went_while_it_waited_is_gone_and_the_rest_stays(self, driver: Driver) -> None:
        await driver.create()
        turn = spec()
        await driver.submit(turn)
        await prune_all(driver, keep=0)
        assert await seqs(driver) == []
        (begun,) = [(await driver.claim()).begun]
        assert begun is not None
        assert begun.turn.id == turn.id
        await driver.append(begun, b"1")
        await prune_all(driver, keep=0)
        assert await seqs(driver) == [3, 4]
        ended = (await driver.finish(begun)).turn
        assert (ended.first_seq, ended.last_seq) == (2, 5)

    async def test_what_lies_between_its_first_event_that_went_and_its_begin_may_go(self, driver: Driver) -> None:
        await driver.create()
        late = (await driver.submit(spec(not_before=START + SECOND))).turns[0].turn
        await prune_all(driver, keep=0)
        await driver.finish(await driver.begin())
        driver.clock.now += SECOND
        await driver.promote(starter=STARTER)
        started = (await driver.turn(late.id)).started_seq
        assert await seqs(driver) == [3, 4, 5, started]
        await prune_all(driver, keep=0)
        assert await seqs(driver) == [started]


class TestWaiting:
    async def test_delayed_and_paused_turns_pin_nothing(self, driver: Driver) -> None:
        await driver.create()
        delayed, queued = spec(not_before=START + 100 * SECOND), spec()
        await driver.submit(delayed, queued)
        await driver.pause()
        await prune_all(driver, keep=0, ended_before=START + 1_000 * SECOND)
        assert await seqs(driver) == []
        assert [placed.turn.id for placed in (await driver.store.list_turns("a")).items] == [delayed.id, queued.id]
        driver.clock.now += 200 * SECOND
        await driver.resume(starter=STARTER)
        begun = driver.notices[-1].begun[0]
        assert begun.turn.id == queued.id
        await driver.finish(begun, starter=STARTER)
        begun = driver.notices[-1].begun[0]
        assert begun.turn.id == delayed.id
        await driver.finish(begun)
        kinds = [event.type.value for event in await driver.store.read_events("a", 0, 100)]
        assert kinds == ["agent.resumed", *["turn.started", "turn.completed"] * 2]


class TestTurns:
    async def test_they_stay_as_long_as_their_events_and_as_long_as_asked(self, driver: Driver) -> None:
        first, second, third = await log_of(driver, 3)
        await prune_all(driver, ended_before=START + 100 * SECOND)
        assert len((await driver.store.list_turns("a")).items) == 3
        await prune_all(driver, keep=2, ended_before=START + 2 * SECOND)
        assert [placed.turn.id for placed in (await driver.store.list_turns("a")).items] == [second, third]
        assert await driver.store.get_turn(first) is None
        await prune_all(driver, keep=2, ended_before=START + 100 * SECOND)
        assert [placed.turn.id for placed in (await driver.store.list_turns()).items] == [third]

    async def test_a_slice_at_a_time(self, driver: Driver) -> None:
        """Each counts twice, for it may have an idempotency record."""
        await log_of(driver, 5)
        await prune_all(driver, keep=0)
        driver.clock.now += 10 * SECOND
        slices = [await prune(driver, keep=0, ended_before=driver.clock.now, rows=4) for _ in range(4)]
        assert slices == [2, 2, 1, 0]

    async def test_one_that_waited_for_long_does_not_hide_the_others(self, driver: Driver) -> None:
        await driver.create()
        await driver.submit(*(spec(not_before=START + 100 * SECOND) for _ in range(20)))
        begun = await driver.begin()
        await driver.finish(begun)
        driver.clock.now += 10 * SECOND
        await prune_all(driver, keep=0, ended_before=driver.clock.now, rows=5)
        left = (await driver.store.list_turns("a")).items
        assert {placed.turn.status for placed in left} == {TurnStatus.SCHEDULED}

    async def test_one_that_was_cancelled_in_the_middle_of_the_mailbox(self, driver: Driver) -> None:
        await driver.create()
        turns = [spec() for _ in range(3)]
        await driver.submit(*turns)
        await driver.cancel(turns[1].id)
        await prune_all(driver, keep=0, ended_before=START + 1)
        assert [(await driver.placed(one.id)).place for one in (turns[0], turns[2])] == [1, 2]
        begun = (await driver.claim()).begun
        assert begun is not None
        assert (await driver.finish(begun, starter=STARTER)).begun is not None

    async def test_pages_go_on_over_what_is_gone(self, driver: Driver) -> None:
        ids = await log_of(driver, 6)
        page = await driver.store.list_turns("a", limit=3)
        await prune_all(driver, keep=12, ended_before=START + 100 * SECOND)
        rest = await driver.store.list_turns("a", after=page.next, limit=10)
        assert [placed.turn.id for placed in rest.items] == ids[3:]


class TestRecords:
    async def test_they_go_with_their_turns(self, driver: Driver) -> None:
        await driver.create()
        first, again = spec(), spec()
        await driver.submit(first, record=record_of((first,)))
        await driver.cancel(first.id)
        await prune_all(driver, keep=0)
        assert (await driver.submit(spec(), record=record_of((first,)))).replayed
        await prune_all(driver, keep=0, ended_before=START + 1)
        accepted = await driver.submit(again, record=record_of((again,)))
        assert (accepted.replayed, accepted.turns[0].turn.id) == (False, again.id)

    async def test_one_of_many_turns_is_forgotten_when_one_of_them_is(self, driver: Driver) -> None:
        await driver.create()
        both = (spec(not_before=START + 100 * SECOND), spec())
        await driver.submit(*both, record=record_of(both))
        await driver.cancel(both[1].id)
        await prune_all(driver, keep=0, ended_before=START + 1)
        again = (spec(), spec())
        assert not (await driver.submit(*again, record=record_of(again))).replayed
        replayed = await driver.submit(*(spec(), spec()), record=record_of(again))
        assert [placed.turn.id for placed in replayed.turns] == [one.id for one in again]


class TestFound:
    async def test_long_logs_and_those_that_were_cut(self, driver: Driver) -> None:
        await log_of(driver, 3)
        await driver.create("b")
        await driver.create("c")
        assert await driver.store.prunable_agents(9, 10) == ["a"]
        assert await driver.store.prunable_agents(0, 2) == ["a", "b"]
        assert await driver.store.prunable_agents(0, 2, "b") == ["c"]
        assert await driver.store.prunable_agents(10, 10) == []
        await prune_all(driver, keep=5)
        assert await driver.store.prunable_agents(10, 10) == ["a"]

    async def test_old_logs(self, driver: Driver) -> None:
        await driver.create("b")
        driver.clock.now += 10 * SECOND
        await driver.create("a")
        await driver.create("c")
        await driver.execute(DeleteAgent("c", "tester"))
        now = driver.clock.now
        assert await driver.store.old_logs(START, now) == ([], None)
        assert (await driver.store.old_logs(START + 1, now)).agents == ["b"]
        assert sorted((await driver.store.old_logs(now + 1, now)).agents) == ["a", "b"]

    async def test_old_logs_after_a_time_that_is_yet_to_come(self, driver: Driver) -> None:
        driver.clock.now += 1_000 * SECOND
        await driver.create("ahead")
        driver.clock.now = START
        await driver.create("a")
        found = await driver.store.old_logs(START + 1, START + SECOND)
        assert found.agents == ["a"]

    async def test_many_old_events_come_in_pages(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        for _ in range(3):
            await driver.append(begun, *[b"1"] * 500)
        await driver.create("b")
        names: list[str] = []
        after: int | None = 0
        while after is not None:
            found = await driver.store.old_logs(START + 1, START + 1, after)
            names += found.agents
            after = found.next
        assert set(names) == {"a", "b"}


class TestRestore:
    """What a restore from a backup does to each log."""

    async def test_it_jumps_to_the_present_time_and_says_so(self, driver: Driver) -> None:
        await log_of(driver, 1)
        reply = await driver.execute(Restore("a"))
        now = driver.clock.now
        assert (reply.head.latest, reply.head.length, reply.head.skipped) == (now, 5, now - 5)
        events = await driver.store.read_events("a", 0, 100)
        assert (events[-1].seq, events[-1].type.value, events[-1].data) == (now, "agent.restored", b'{"after":4}')
        await driver.begin()
        assert (await seqs(driver))[-3:] == [now, now + 1, now + 2]
        for after, expected in ((3, 4), (4, now), (500, now), (now - 1, now), (now, now + 1)):
            assert (await driver.store.read_events("a", after, 1))[0].seq == expected
        assert [event.seq for event in await driver.store.read_events("a", 2, 9, now)] == [3, 4, now]

    async def test_never_back(self, driver: Driver) -> None:
        await log_of(driver, 1)
        await driver.execute(Restore("a"))
        driver.clock.now = START - 1_000 * SECOND
        before = (await driver.head()).latest
        await driver.execute(Restore("a"))
        assert await seqs(driver) == [1, 2, 3, 4, before, before + 1]
        assert (await driver.head()).length == 6

    async def test_prunes_count_events_and_not_numbers(self, driver: Driver) -> None:
        await log_of(driver, 1)
        await driver.execute(Restore("a"))
        now = driver.clock.now
        await log_of_more(driver)
        assert await prune(driver, keep=8) == 0
        await prune_all(driver, keep=6, rows=1)
        head = await driver.head()
        assert await seqs(driver) == [3, 4, now, now + 1, now + 2, now + 3]
        assert (head.earliest, head.length, head.skipped) == (3, 6, now - 5)
        await prune_all(driver, keep=4)
        head = await driver.head()
        assert (head.earliest, head.length, head.skipped) == (now, 4, 0)

    async def test_of_a_deleted_agent_the_numbers(self, driver: Driver) -> None:
        await driver.create()
        await driver.execute(DeleteAgent("a", "tester"))
        await driver.execute(Restore("a"))
        assert await driver.store.get_agent("a") is None
        reply = await driver.create()
        assert (reply.head.earliest, reply.head.length) == (START, 1)


async def log_of_more(driver: Driver) -> None:
    await driver.finish(await driver.begin())
