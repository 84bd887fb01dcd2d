"""What a store gives back: records as they were written, lists in pages."""

from typing import Any

import pytest

from pygents_app.model import Page, PlacedTurn, TurnRef, TurnSpec, TurnStatus
from tests.contracts.conftest import OpenStore
from tests.contracts.driver import SECOND, START, STARTER, Driver, spec

pytestmark = pytest.mark.anyio


async def pages(first: Page, following: Any) -> list[Page]:
    """The page and all that come after it; ``following(cursor)`` reads one."""
    found = [first]
    while found[-1].next is not None:
        found.append(await following(found[-1].next))
    return found


async def everything(driver: Driver) -> list[object]:
    """All that a store can be asked."""
    store = driver.store
    asked = store.list_agents(), store.list_turns(), store.read_memory("a"), store.next_due(), store.ready_agents(10)
    return [await driver.log("a"), await driver.log("b"), *[await one for one in asked]]


async def scene(driver: Driver) -> dict[str, str]:
    """One agent with a turn in every status that a turn can wait or end in, and a second agent with a few."""
    await driver.create("a")
    await driver.create("b")
    done = await driver.begin()
    await driver.finish(done)
    running = await driver.begin()
    queued, cancelled, last = spec(), spec(), spec()
    scheduled = spec(not_before=START + SECOND)
    await driver.submit(queued, cancelled, scheduled, last)
    await driver.cancel(cancelled.id)
    await driver.submit(spec("b"), spec("b"))
    return {
        "completed": done.turn.id, "running": running.turn.id, "queued": queued.id, "cancelled": cancelled.id,
        "scheduled": scheduled.id, "last": last.id,
    }  # fmt: skip


class TestTurns:
    async def test_every_column_comes_back(self, driver: Driver) -> None:
        await driver.create()
        parent = TurnRef("z", "parent")
        full = TurnSpec(
            "id-1", "a", "greet", b'["\xc3\xa9"]', b'{"k":1}', b'{"m":2}', 1.5, START - 1, parent, "root", 3
        )  # fmt: skip
        (placed,) = (await driver.submit(full)).turns
        assert (await driver.turn("id-1")).spec == full
        await driver.cancel("id-1")
        turn = await driver.turn("id-1")
        assert (turn.spec, turn.created_at, turn.first_seq) == (full, START, placed.turn.first_seq)
        assert (turn.cancel, turn.end_time) == (("tester", "enough"), START)

    async def test_unknown_or_of_another_agent(self, driver: Driver) -> None:
        await driver.create("a")
        (placed,) = (await driver.submit()).turns
        assert await driver.store.get_turn(placed.turn.id, "a") == placed
        assert await driver.store.get_turn(placed.turn.id, "b") is None
        assert await driver.store.get_turn("nothing") is None

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_pages_join_to_the_whole_list(self, driver: Driver, limit: int) -> None:
        ids = await scene(driver)
        for agent, count in (("a", 6), (None, 8)):
            first = await driver.store.list_turns(agent, limit=limit)
            parts = await pages(first, lambda after: driver.store.list_turns(agent, after=after, limit=limit))  # noqa: B023
            listed = [placed.turn.id for page in parts for placed in page.items]
            assert len(listed) == len(set(listed)) == count
            assert listed[:6] == list(ids.values())
            assert all(len(page.items) <= limit for page in parts)

    async def test_a_full_last_page_is_the_last(self, driver: Driver) -> None:
        await driver.create()
        await driver.submit(spec(), spec())
        for status in (None, TurnStatus.QUEUED):
            assert (await driver.store.list_turns(status=status, limit=2)).next is None
            assert (await driver.store.list_turns(status=status, limit=1)).next is not None

    @pytest.mark.parametrize("status", list(TurnStatus))
    async def test_by_status(self, driver: Driver, status: TurnStatus) -> None:
        await scene(driver)
        every = (await driver.store.list_turns()).items
        for agent in (None, "a", "b"):
            expected = [p for p in every if p.turn.status is status and agent in (None, p.turn.spec.agent)]
            first = await driver.store.list_turns(agent, status=status, limit=1)
            parts = await pages(
                first,
                lambda after: driver.store.list_turns(agent, status=status, after=after, limit=1),  # noqa: B023
            )
            assert [placed for page in parts for placed in page.items] == expected

    async def test_places_in_lists_count_only_what_waits(self, driver: Driver) -> None:
        ids = await scene(driver)
        items = (await driver.store.list_turns("a")).items
        places = {placed.turn.id: placed.place for placed in items}
        assert (places[ids["queued"]], places[ids["last"]]) == (1, 2)
        assert [places[ids[name]] for name in ("completed", "running", "cancelled", "scheduled")] == [None] * 4

    async def test_of_nobody_or_after_nothing(self, driver: Driver) -> None:
        await scene(driver)
        for status in (None, *TurnStatus):
            assert await driver.store.list_turns("nobody", status=status) == Page((), None)
            assert await driver.store.list_turns(status=status, after="no-such-turn") == Page((), None)


class TestAgents:
    async def test_pages_ascend_by_name_with_a_prefix(self, driver: Driver) -> None:
        for name in ("b1", "a", "b", "c", "b2", "B", "b-x"):
            await driver.create(name)
        first = await driver.store.list_agents(prefix="b", limit=3)
        parts = await pages(first, lambda after: driver.store.list_agents(prefix="b", after=after, limit=3))
        assert [[listed.head.name for listed in page.items] for page in parts] == [["b", "b-x", "b1"], ["b2"]]
        assert [listed.head.name for listed in (await driver.store.list_agents()).items] == sorted(
            ("b1", "a", "b", "c", "b2", "B", "b-x")
        )

    async def test_a_full_last_page_is_the_last(self, driver: Driver) -> None:
        await driver.create("a")
        await driver.create("b")
        assert (await driver.store.list_agents(limit=2)).next is None

    async def test_an_unknown_agent_is_none(self, driver: Driver) -> None:
        assert await driver.store.get_agent("nobody") is None
        assert await driver.store.read_memory("nobody") is None
        assert await driver.store.read_events("nobody", 0, 10) == []

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_pages_of_a_mailbox(self, driver: Driver, limit: int) -> None:
        """Turns that were delayed join behind later ones, cancelled ones leave holes; a list is by acceptance."""
        await driver.create()
        asked = [spec(not_before=START + SECOND if number % 3 == 0 else None) for number in range(12)]
        for one in (*asked, spec(not_before=START - SECOND)):
            await driver.submit(one)
        driver.clock.now += 2 * SECOND
        await driver.promote()
        await driver.submit()
        for one in (asked[1], asked[3], asked[7]):
            await driver.cancel(one.id)
        everything = (await driver.store.list_turns("a")).items
        queued = [placed for placed in everything if placed.turn.status is TurnStatus.QUEUED]
        assert sorted(placed.place for placed in queued) == list(range(1, 12))
        assert [placed.place for placed in sorted(queued, key=position)] == list(range(1, 12))
        found: list[PlacedTurn] = []
        after = None
        while True:
            page = await driver.store.list_turns("a", status=TurnStatus.QUEUED, after=after, limit=limit)
            found += page.items
            if (after := page.next) is None:
                break
        assert found == queued
        for placed in queued:
            assert await driver.store.get_turn(placed.turn.id) == placed

    async def test_the_oldest_queued_turn(self, driver: Driver) -> None:
        await driver.create()
        delayed = spec(not_before=START + SECOND)
        await driver.submit(delayed)
        driver.clock.now += SECOND // 2
        (waiting,) = (await driver.submit()).turns
        driver.clock.now += SECOND
        listed = await driver.store.get_agent("a")
        assert listed is not None
        assert listed.oldest_queued_at == waiting.turn.created_at
        await driver.promote()
        listed = await driver.store.get_agent("a")
        assert listed is not None
        assert listed.oldest_queued_at == START
        for one in (delayed, waiting.turn):
            await driver.cancel(one.id)
        assert (await driver.store.list_agents()).items[0].oldest_queued_at is None


def position(placed: PlacedTurn) -> int:
    return placed.turn.position or 0


class TestEvents:
    async def test_a_range_of_the_log(self, driver: Driver) -> None:
        await driver.create()
        await driver.append(await driver.begin(), *(b"%d" % number for number in range(7)))
        log = await driver.log()
        assert len(log) == 10
        for after, limit, up_to in ((0, 3, None), (4, 100, None), (4, 100, 6), (4, 1, 6), (10, 5, None), (6, 5, 6)):
            end = len(log) if up_to is None else up_to
            expected = [event for event in log if after < event.seq <= end][:limit]
            assert await driver.store.read_events("a", after, limit, up_to) == expected

    async def test_a_turns_range_holds_exactly_its_ends(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await driver.submit()
        turn = (await driver.finish(begun, values=(b"1",))).turn
        events = await driver.store.read_events("a", turn.first_seq - 1, 100, turn.last_seq)
        mine = [event.type.value for event in events if event.turn_id == turn.id]
        assert mine == ["turn.queued", "turn.started", "turn.value", "turn.completed"]

    async def test_a_cursor_past_the_end_reads_nothing(self, driver: Driver) -> None:
        await driver.create()
        assert await driver.store.read_events("a", 999_999_999_999_999_999, 10) == []


class TestWork:
    async def test_ready_and_owned(self, driver: Driver) -> None:
        for name in ("busy", "waits", "held", "paused", "empty"):
            await driver.create(name)
        await driver.submit(spec("busy"), spec("busy"), starter=STARTER)
        await driver.submit(spec("waits"))
        await driver.submit(spec("held"), starter=STARTER)
        await driver.finish(driver.notices[-1].begun[0], hold=True)
        await driver.pause("paused")
        await driver.submit(spec("paused"))
        assert await driver.store.ready_agents(10) == ["waits"]
        assert sorted(await driver.store.owned_agents()) == ["busy", "held"]
        await driver.submit(spec("empty"))
        assert len(await driver.store.ready_agents(1)) == 1

    async def test_next_due_is_the_earliest_of_all(self, driver: Driver) -> None:
        for name in ("a", "b", "c"):
            await driver.create(name)
        assert await driver.store.next_due() is None
        await driver.submit(spec("c", not_before=START + 9))
        await driver.submit(spec("b", not_before=START + 5), spec("b", not_before=START + 5))
        await driver.submit(spec("a", not_before=START + 5))
        due = await driver.store.next_due()
        assert due is not None
        assert (due[0], sorted(due[1])) == (START + 5, ["a", "b"])


class TestReopened:
    async def test_everything_is_as_it_was(self, open_durable_store: OpenStore) -> None:
        driver = open_durable_store()
        await scene(driver)
        running = [begun for notice in driver.notices for begun in notice.begun][-1]
        await driver.finish(running, memory=b"[1]")

        before = await everything(driver)
        driver = await open_durable_store.reopen()
        assert await everything(driver) == before

    async def test_sequence_numbers_and_epochs_go_on(self, open_durable_store: OpenStore) -> None:
        driver = open_durable_store()
        await driver.create()
        begun = await driver.begin()
        driver = await open_durable_store.reopen()
        assert await driver.store.owned_agents() == ["a"]
        await driver.append(begun, b"1")
        await driver.recover()
        again = await driver.begin()
        assert again.fence.epoch == 2
        assert (await driver.types())[-2:] == ["turn.queued", "turn.started"]
