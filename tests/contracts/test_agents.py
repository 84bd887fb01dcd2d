"""What commands do to agents themselves, whatever the store: made, changed, deleted, made again."""

from typing import Any

import pytest

from pygents_app.commands import Command, CreateAgent, DeleteAgent, Enqueue, PatchAgent
from pygents_app.errors import AgentBusy, AgentNotFound, CodeAgent, Fenced, InvalidRequest, TurnNotFound
from pygents_app.model import CancelRequest, Definition, EventType, Outcome, TurnRef, TurnStatus
from tests.contracts.driver import SECOND, START, STARTER, TOOLS, Driver, record_of, spec

pytestmark = pytest.mark.anyio

CODE = frozenset({"a"})


async def patch(driver: Driver, changes: dict[str, Any], code_agents: frozenset[str] = frozenset()) -> Definition:
    reply = await driver.execute(PatchAgent("a", changes, code_agents))
    definition: Definition = (await driver.head()).definition
    assert reply.head.definition == definition
    return definition


async def delete(driver: Driver, *, force: bool = False, code_agents: frozenset[str] = frozenset()) -> None:
    await driver.execute(DeleteAgent("a", "tester", force, code_agents))


class TestPatch:
    async def test_what_is_named_changes_and_the_rest_stays(self, driver: Driver) -> None:
        await driver.create(description="old", labels={"x": "1", "y": "2"}, hooks={"before_turn": ("h",)})
        driver.clock.now += SECOND
        changed = await patch(driver, {"tools": ["count", "count"], "labels": {"x": None, "z": "3"}})
        assert changed == Definition("a", "old", ("count",), hooks={"before_turn": ("h",)}, labels={"y": "2", "z": "3"})
        assert (await driver.head()).updated_at == START + SECOND
        last = (await driver.log())[-1]
        assert last.type is EventType.AGENT_UPDATED
        assert last.data == (
            b'{"description":"old","tools":["count"],"hooks":{"before_turn":["h"]},"labels":{"y":"2","z":"3"}}'
        )

    async def test_null_takes_the_default(self, driver: Driver) -> None:
        await driver.create(description="old", labels={"x": "1"}, hooks={"before_turn": ("h",), "on_value": ("h",)})
        changed = await patch(driver, {"description": None, "labels": None, "hooks": {"on_value": None}})
        assert changed == Definition("a", tools=TOOLS, hooks={"before_turn": ("h",)})

    async def test_no_change_is_no_event(self, driver: Driver) -> None:
        await driver.create(description="old")
        for changes in ({}, {"description": "old"}, {"labels": {"none": None}}):
            await patch(driver, changes)
        assert await driver.types() == ["agent.created"]

    async def test_too_many_labels(self, driver: Driver) -> None:
        await driver.create(labels={str(number): "" for number in range(99)})
        await patch(driver, {"labels": {"a": ""}})
        with pytest.raises(InvalidRequest):
            await patch(driver, {"labels": {"b": ""}})

    async def test_of_an_agent_of_the_code_only_the_labels(self, driver: Driver) -> None:
        await driver.create(source="code")
        with pytest.raises(CodeAgent):
            await patch(driver, {"description": "new", "labels": {}}, CODE)
        assert (await patch(driver, {"labels": {"x": "1"}}, CODE)).labels == {"x": "1"}
        assert (await patch(driver, {"description": "gone from the code"})).description == "gone from the code"

    async def test_labels_outlive_the_next_start_of_the_code(self, driver: Driver) -> None:
        await driver.create(source="code")
        await patch(driver, {"labels": {"x": "1"}}, CODE)
        reply = await driver.create(source="code")
        assert (reply.created, reply.head.definition.labels) == (False, {"x": "1"})
        assert await driver.types() == ["agent.created", "agent.updated"]

    async def test_a_turn_whose_tool_was_taken_away_begins_to_fail(self, driver: Driver) -> None:
        """Without a starter that has the tool, and without its lock: the node that begins it ends it at once."""
        await driver.create()
        await driver.submit(spec(tool="locked"))
        assert (await driver.claim()).begun is None
        await patch(driver, {"tools": ["greet"]})
        assert (await driver.claim()).begun is not None


class TestDelete:
    async def test_an_agent_without_turns(self, driver: Driver) -> None:
        await driver.create()
        await driver.finish(await driver.begin(), memory=b"[1]")
        await delete(driver)
        assert await driver.store.get_agent("a") is None
        assert (await driver.store.list_agents()).items == ()
        assert (await driver.store.list_turns()).items == ()
        assert await driver.store.read_memory("a") is None
        assert await driver.store.owned_agents() == []
        assert driver.events()[-1].type is EventType.AGENT_DELETED

    async def test_the_log_can_be_read_to_its_end(self, driver: Driver) -> None:
        """By streams that are behind."""
        await driver.create()
        await delete(driver)
        assert await driver.types() == ["agent.created", "agent.deleted"]

    async def test_one_with_turns_stays_unless_forced(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await driver.submit(spec(), spec(not_before=START + SECOND))
        with pytest.raises(AgentBusy) as refused:
            await delete(driver)
        assert refused.value.fields == {"running": 1, "queued": 1, "scheduled": 1}
        await driver.append(begun, b"1")

    async def test_force_cancels_what_waits_and_runs(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        later = spec(not_before=START + SECOND)
        queued = [spec(), spec()]
        await driver.submit(later, *queued)
        await delete(driver, force=True)
        ended = driver.notices[-1].ended
        assert [turn.id for turn in ended] == [begun.turn.id, queued[0].id, queued[1].id, later.id]
        assert {turn.status for turn in ended} == {TurnStatus.CANCELLED}
        assert {turn.cancel for turn in ended} == {CancelRequest("tester", "the agent was deleted")}
        assert driver.notices[-1].cancelling == [TurnRef("a", begun.turn.id)]
        assert (await driver.types())[-5:] == ["turn.cancelled"] * 4 + ["agent.deleted"]
        assert await driver.store.next_due() is None

    async def test_one_with_a_scheduled_turn_alone(self, driver: Driver) -> None:
        await driver.create()
        later = spec(not_before=START + SECOND)
        await driver.submit(later)
        with pytest.raises(AgentBusy):
            await delete(driver)
        assert (await driver.turn(later.id)).status is TurnStatus.SCHEDULED

    async def test_a_cancel_from_before_keeps_its_reason(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await driver.cancel(begun.turn.id)
        await delete(driver, force=True)
        assert b"enough" in (await driver.log())[-2].data

    async def test_what_is_deleted_is_not_found(self, driver: Driver) -> None:
        await driver.create()
        turn = spec()
        record = record_of((turn,))
        await driver.submit(turn, record=record)
        await delete(driver, force=True)
        for attempt in (
            driver.submit(),
            driver.submit(spec(), record=record),
            driver.cancel(turn.id),
            driver.pause(),
            driver.resume(),
            driver.promote(),
            driver.claim(),
            patch(driver, {}),
            delete(driver),
        ):
            with pytest.raises(AgentNotFound):
                await attempt

    async def test_an_agent_of_the_code(self, driver: Driver) -> None:
        await driver.create(source="code")
        with pytest.raises(CodeAgent):
            await delete(driver, force=True, code_agents=CODE)
        await delete(driver)
        assert await driver.store.get_agent("a") is None

    async def test_nothing_is_written_for_it_any_more(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await delete(driver, force=True)
        with pytest.raises(Fenced):
            await driver.append(begun, b"1")
        with pytest.raises(Fenced):
            await driver.finish(begun, memory=b"[]")
        await driver.release(begun)
        assert await driver.store.owned_agents() == []

    async def test_what_a_crash_leaves_of_it_is_released(self, driver: Driver) -> None:
        await driver.create()
        await driver.begin()
        await delete(driver, force=True)
        assert await driver.store.owned_agents() == ["a"]
        await driver.recover()
        assert await driver.store.owned_agents() == []
        assert (await driver.types())[-1] == "agent.deleted"


class TestMadeAgain:
    async def test_it_goes_on_above_the_old_numbers(self, driver: Driver) -> None:
        await driver.create()
        await driver.finish(await driver.begin(), memory=b"[1]")
        await delete(driver)
        last = driver.events()[-1].seq
        reply = await driver.create(tools=("count",))
        assert reply.created
        assert (reply.head.earliest, reply.head.latest) == (last + 1, last + 1)
        assert [event.seq for event in await driver.store.read_events("a", last, 100)] == [last + 1]
        assert await driver.store.read_memory("a") is None
        turn = spec(tool="count")
        await driver.submit(turn)
        assert [placed.turn.id for placed in (await driver.store.list_turns()).items] == [turn.id]
        assert (await driver.placed(turn.id)).place == 1

    async def test_readers_come_to_the_end_of_the_old_log(self, driver: Driver) -> None:
        """Those that are behind, although the name belongs to another agent by now; until the rows are removed."""
        await driver.create()
        await driver.submit()
        await delete(driver, force=True)
        await driver.create()
        seen, cursor = [], 0
        while events := await driver.store.read_events("a", cursor, 3):
            seen += [event.type.value for event in events]
            cursor = events[-1].seq
        assert seen == ["agent.created", "turn.queued", "turn.cancelled", "agent.deleted", "agent.created"]
        while await driver.store.purge(START + 1, 100):
            pass
        assert [event.seq for event in await driver.store.read_events("a", 0, 10)] == [5]

    async def test_turns_of_the_old_one_are_not_found(self, driver: Driver) -> None:
        await driver.create()
        waited, ran = spec(), await driver.begin()
        await driver.submit(waited)
        await driver.finish(ran)
        await delete(driver, force=True)
        await driver.create()
        for turn_id in (waited.id, ran.turn.id):
            with pytest.raises(TurnNotFound):
                await driver.cancel(turn_id)

    async def test_it_has_no_past(self, driver: Driver) -> None:
        await driver.create()
        await driver.finish(await driver.begin(), Outcome(TurnStatus.ERROR, error=b'{"type":"X"}'))
        await driver.pause()
        await delete(driver)
        head = (await driver.create()).head
        assert (head.last_error, head.paused, head.joined, head.queued) == (None, False, 0, 0)

    async def test_its_keys_are_its_own(self, driver: Driver) -> None:
        await driver.create()
        first, second = spec(), spec()
        await driver.submit(first, record=record_of((first,)))
        await delete(driver, force=True)
        await driver.create()
        again = await driver.submit(second, record=record_of((second,)))
        assert (again.replayed, again.turns[0].turn.id) == (False, second.id)
        assert (await driver.submit(spec(), record=record_of((second,)))).replayed

    async def test_it_waits_for_the_code_of_the_old_one(self, driver: Driver) -> None:
        await driver.create()
        begun = await driver.begin()
        await delete(driver, force=True)
        await driver.create()
        turn = spec()
        await driver.submit(turn, starter=STARTER)
        assert (await driver.claim()).begun is None
        with pytest.raises(Fenced):
            await driver.finish(begun)
        released = await driver.release(begun, STARTER)
        assert released.begun is not None
        assert released.begun.turn.id == turn.id

    async def test_deleted_again_and_again(self, driver: Driver) -> None:
        for _ in range(3):
            await driver.create()
            await delete(driver)
        await driver.create()
        seqs = [event.seq for event in driver.events()]
        assert seqs == list(range(1, 8))

    async def test_in_one_commit(self, driver: Driver) -> None:
        """What of the old one is still to be written must not become the new one's."""
        await driver.create()
        turn = spec()
        commands: list[Command] = [
            Enqueue("a", (turn,), 10),
            DeleteAgent("a", "tester", force=True),
            CreateAgent(Definition("a", tools=TOOLS)),
            Enqueue("a", (spec(),), 10),
        ]
        for future in [driver.execute(command) for command in commands]:
            await future
        assert await driver.store.get_turn(turn.id) is None
        assert [event.type.value for event in await driver.store.read_events("a", 4, 10)] == [
            "agent.created", "turn.queued",
        ]  # fmt: skip


class TestPurge:
    async def test_only_what_was_deleted_before(self, driver: Driver) -> None:
        await driver.create()
        await driver.create("b")
        await driver.submit(spec("b"))
        await delete(driver)
        assert await driver.store.purge(START, 100) == 0
        assert len(await driver.log()) == 2
        while await driver.store.purge(START + 1, 100):
            pass
        assert await driver.store.read_events("a", 0, 10) == []
        assert len(await driver.log("b")) == 2
        assert (await driver.create()).head.latest == 3

    async def test_a_slice_at_a_time(self, driver: Driver) -> None:
        await driver.create()
        await driver.submit(*(spec() for _ in range(5)))
        await delete(driver, force=True)
        left = [len(await driver.log())]
        while await driver.store.purge(START + 1, 3):
            left.append(len(await driver.store.read_events("a", 0, 100)))
        assert left[:3] == [12, 9, 6]
        assert left[-1] == 0

    async def test_the_new_one_loses_nothing(self, driver: Driver) -> None:
        await driver.create()
        await driver.submit(spec(), spec())
        await delete(driver, force=True)
        await driver.create()
        turn = spec()
        await driver.submit(turn)
        while await driver.store.purge(START + 1, 2):
            pass
        assert (await driver.placed(turn.id)).place == 1
        assert len(await driver.store.read_events("a", 0, 100)) == 2
