"""What each command does to a store, whatever the store."""

from typing import Any

import pytest

from pygents_app.errors import AgentExists, AgentNotFound, Fenced, MailboxFull, ToolNotAccepted
from pygents_app.model import Fence, TurnStatus
from tests.contracts.driver import NODE, SECOND, START, STARTER, TOOLS, Driver, origin_of, spec

pytestmark = pytest.mark.anyio


class TestCreateAgent:
    async def test_creates_it_once(self, driver: Driver) -> None:
        first, again = await driver.create(description="d"), await driver.create(description="d")
        assert (first.created, again.created) == (True, False)
        assert first.head == again.head == await driver.head()
        assert await driver.types() == ["agent.created"]

    async def test_refuses_another_definition_from_the_api(self, driver: Driver) -> None:
        await driver.create(description="one")
        with pytest.raises(AgentExists):
            await driver.create(description="two")
        assert (await driver.head()).definition.description == "one"

    async def test_code_takes_over_and_keeps_the_mailbox(self, driver: Driver) -> None:
        await driver.create(description="one", hooks={"before_turn": ("check",)}, labels={"team": "x"}, memory_limit=9)
        await driver.submit()
        driver.clock.now += SECOND
        reply = await driver.create(description="two", source="code")
        head = await driver.head()
        assert not reply.created
        assert (head.definition.description, head.definition.source, head.queued) == ("two", "code", 1)
        assert (head.created_at, head.updated_at) == (START, START + SECOND)
        assert await driver.types() == ["agent.created", "turn.queued", "agent.updated"]

    async def test_definitions_come_back_as_they_were(self, driver: Driver) -> None:
        parts: dict[str, Any] = {
            "description": 'é "x" \u2028', "hooks": {"on_value": ("a", "b")}, "labels": {"k": "v"}, "memory_limit": 7,
        }  # fmt: skip
        created = await driver.create(**parts)
        definition = (await driver.head()).definition
        assert definition == created.head.definition
        assert definition.tools == TOOLS
        assert definition.hooks == {"on_value": ("a", "b")}


class TestEnqueue:
    async def test_turns_join_in_their_order(self, driver: Driver) -> None:
        await driver.create()
        specs = spec(), spec(tool="count"), spec()
        reply = await driver.submit(*specs)
        assert [placed.place for placed in reply.turns] == [1, 2, 3]
        assert [placed.turn.position for placed in reply.turns] == [1, 2, 3]
        assert [placed.turn.spec for placed in reply.turns] == list(specs)
        assert (await driver.submit()).turns[0].place == 4
        assert (await driver.head()).queued == 4

    async def test_all_or_none(self, driver: Driver) -> None:
        await driver.create()
        with pytest.raises(ToolNotAccepted):
            await driver.submit(spec(), spec(tool="unknown"))
        assert await driver.types() == ["agent.created"]
        assert (await driver.head()).queued == 0

    async def test_unknown_agent(self, driver: Driver) -> None:
        with pytest.raises(AgentNotFound):
            await driver.submit()

    async def test_full_mailbox_counts_what_is_delayed(self, driver: Driver) -> None:
        await driver.create()
        await driver.submit(spec(not_before=START + SECOND), spec(), limit=2)
        with pytest.raises(MailboxFull) as caught:
            await driver.submit(limit=2)
        assert caught.value.fields == {"limit": 2, "queued": 2}

    async def test_an_idle_agent_begins_at_once(self, driver: Driver) -> None:
        await driver.create()
        (placed,) = (await driver.submit(starter=STARTER)).turns
        assert (placed.turn.status, placed.turn.attempt, placed.place) == (TurnStatus.RUNNING, 1, None)
        assert await driver.turn(placed.turn.id) == placed.turn
        assert driver.begun() == [placed.turn.id]
        head = await driver.head()
        assert (head.current, head.node, head.epoch, head.queued) == (placed.turn.id, NODE, 1, 0)

    async def test_a_busy_agent_does_not_begin_a_second_one(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        (placed,) = (await driver.submit(starter=STARTER)).turns
        assert (placed.turn.status, placed.place) == (TurnStatus.QUEUED, 1)
        assert driver.begun() == [begun.turn.id]
        assert driver.ready() == []

    async def test_the_first_of_the_mailbox_begins_not_the_new_one(self, driver: Driver) -> None:
        await driver.create()
        (first,) = (await driver.submit()).turns
        (second,) = (await driver.submit(starter=STARTER)).turns
        assert driver.begun() == [first.turn.id]
        assert (second.turn.status, second.place) == (TurnStatus.QUEUED, 1)

    async def test_a_tool_that_cannot_start_here_holds_the_mailbox(self, driver: Driver) -> None:
        await driver.create()
        await driver.submit(spec(tool="locked"), starter=STARTER)
        await driver.submit(starter=STARTER)
        assert driver.begun() == []
        assert driver.ready() == ["a"]

    async def test_delayed_turns_wait_outside_the_mailbox(self, driver: Driver) -> None:
        await driver.create()
        (placed,) = (await driver.submit(spec(not_before=START + 1), starter=STARTER)).turns
        assert (placed.turn.status, placed.place, placed.turn.position) == (TurnStatus.SCHEDULED, None, None)
        assert (await driver.head()).scheduled == 1
        assert list(driver.notices[-1].scheduled) == ["a"]
        assert driver.ready() == driver.begun() == []

    async def test_a_time_that_has_passed_is_no_delay(self, driver: Driver) -> None:
        await driver.create()
        (placed,) = (await driver.submit(spec(not_before=START))).turns
        assert placed.turn.status is TurnStatus.QUEUED


class TestSend:
    async def test_from_a_running_turn_to_another_agent(self, driver: Driver) -> None:
        await driver.create("a")
        await driver.create("b")
        begun = await driver.begin()
        reply = await driver.submit(spec("b"), origin=origin_of(begun))
        assert reply.turns[0].place == 1
        assert await driver.types("b") == ["agent.created", "turn.queued"]

    async def test_not_from_a_turn_that_has_ended(self, driver: Driver) -> None:
        await driver.create("a")
        begun = await driver.begin()
        await driver.finish(begun)
        with pytest.raises(Fenced):
            await driver.submit(spec("a"), origin=origin_of(begun))
        assert (await driver.head()).queued == 0

    async def test_not_from_a_turn_that_was_cancelled(self, driver: Driver) -> None:
        """It runs until it hears of that; who cancels what came of it, too, has looked for its children by then."""
        await driver.create("a")
        await driver.create("b")
        begun = await driver.begin()
        await driver.cancel(begun.turn.id)
        with pytest.raises(Fenced):
            await driver.submit(spec("b"), origin=origin_of(begun))
        assert await driver.types("b") == ["agent.created"]


class TestClaim:
    async def test_begins_the_first(self, driver: Driver) -> None:
        await driver.create()
        first, second = (placed.turn.id for placed in (await driver.submit(spec(), spec())).turns)
        claimed = await driver.claim()
        assert claimed.begun is not None
        assert claimed.begun.turn.id == first
        assert (await driver.placed(second)).place == 1
        assert (await driver.claim()).begun is None

    async def test_only_the_named_turn(self, driver: Driver) -> None:
        await driver.create()
        first, second = (placed.turn.id for placed in (await driver.submit(spec(), spec())).turns)
        assert (await driver.claim(turn_id=second)).begun is None
        assert (await driver.claim(turn_id=first)).begun is not None

    async def test_names_the_turn_that_it_cannot_begin(self, driver: Driver) -> None:
        await driver.create()
        (placed,) = (await driver.submit(spec(tool="locked"))).turns
        claimed = await driver.claim()
        assert claimed.begun is None
        assert claimed.next == placed.turn

    async def test_nothing_of_an_empty_or_paused_mailbox(self, driver: Driver) -> None:
        await driver.create()
        assert (await driver.claim()).begun is None
        await driver.pause()
        await driver.submit()
        assert (await driver.claim()).begun is None
        assert driver.begun() == []

    async def test_each_ownership_raises_the_epoch(self, driver: Driver) -> None:
        await driver.create()
        first = await driver.begin()
        await driver.finish(first)
        second = await driver.begin()
        assert (first.fence, second.fence) == (Fence(NODE, 1), Fence(NODE, 2))
