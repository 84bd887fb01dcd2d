"""What must be the same after the process was killed: sends, cancels, memory, delays, idempotency, sequence numbers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.caller import calling
from tests.follower import following
from tests.history import check_contiguous, check_log, check_slice
from tests.service import Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]


async def test_a_running_turn_is_interrupted_and_the_next_one_runs(own: Own, tmp_path: Path) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("gated_count", "echo")
        first = await caller.submit(agent, "gated_count", args=[str(tmp_path / "never"), 3])
        second = await caller.submit(agent, "echo", args=["next"])
        async with following(f"{service.url}/agents/{agent}/stream") as follower:
            await follower.until(7)
        service.restart()
        interrupted, done = await caller.ended(first), await caller.ended(second)
        assert (interrupted["status"], interrupted["error"]["type"]) == ("error", "interrupted")
        assert interrupted["attempt"] == 1
        assert interrupted["values"] == 3
        assert (done["status"], done["output"]) == ("completed", "next")
        check_log(await caller.events(agent))


async def test_a_send_is_kept(own: Own, tmp_path: Path) -> None:
    """``await send_turn()`` returned, so the message is there, though the turn that sent it is not finished."""
    service = own()
    async with calling(service.url) as caller:
        sender, target = await caller.make_agent("send_and_wait"), await caller.make_agent("echo", "gated")
        held = await caller.submit(target, "gated", args=[str(tmp_path / "never")])
        turn = await caller.submit(sender, "send_and_wait", args=[target, "message", str(tmp_path / "never")])
        async with following(f"{service.url}/agents/{sender}/stream") as follower:
            await follower.until_type("turn.value")
        service.restart()
        await caller.ended(held)
        await caller.ended(turn)
        sent = [found for found in await caller.turns(target) if found["tool"] == "echo"]
        assert [found["parent"] for found in sent] == [{"agent": sender, "id": turn["id"]}]
        assert (await caller.ended(sent[0]))["output"] == "message"


async def test_a_cancel_that_was_answered_wins_over_the_crash(own: Own, tmp_path: Path) -> None:
    service = own(cancel_grace=30)
    async with calling(service.url) as caller:
        agent = await caller.make_agent("stubborn", "echo")
        turn = await caller.submit(agent, "stubborn", args=[str(tmp_path / "never")])
        queued = await caller.submit(agent, "echo", args=[1])
        after = await caller.submit(agent, "echo", args=[2])
        assert (await caller.cancel(turn, "enough")).status_code == 202
        assert (await caller.cancel(queued)).status_code == 200
        service.restart()
        assert (await caller.ended(turn))["status"] == "cancelled"
        assert (await caller.ended(queued))["status"] == "cancelled"
        assert (await caller.ended(after))["output"] == 2
        ends = [event["data"] for event in await caller.of_turn(turn) if event["type"] == "turn.cancelled"]
        assert [end["reason"] for end in ends] == ["enough"]
        check_log(await caller.events(agent))


async def test_memory_is_what_completed_turns_left(own: Own, tmp_path: Path) -> None:
    service = own()
    async with calling(service.url) as caller:
        agents = ("coded", await caller.make_agent("remember", memory={"limit": 5}))
        for agent in agents:
            assert (await caller.do(agent, "remember", args=["a"]))["output"] == ["a"]
            running = await caller.submit(agent, "remember", args=["lost", "return", str(tmp_path / "never")])
            await caller.becomes(running, "running")
        service.restart()
        for agent in agents:
            assert (await caller.do(agent, "remember", args=["b"]))["output"] == ["a", "b"]


async def test_a_delayed_turn_joins_when_it_is_due(own: Own) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        due = datetime.now(UTC) + timedelta(seconds=2)
        later = await caller.submit(agent, "echo", args=["later"], not_before=due.isoformat())
        soon = await caller.submit(agent, "echo", args=["soon"], delay=1)
        assert (later["status"], later["waiting_for"]) == ("scheduled", "delay")
        service.restart()
        ended = [await caller.ended(turn) for turn in (soon, later)]
        assert [turn["output"] for turn in ended] == ["soon", "later"]
        assert datetime.fromisoformat(ended[1]["start_time"]) >= due


async def test_a_key_stands_for_its_turn(own: Own) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        first = await caller.ended(await caller.submit(agent, "echo", key="k", args=[1]))
        service.restart()
        again = await caller.post(agent, "echo", key="k", args=[1])
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
        assert again.json() == first
        assert (await caller.post(agent, "echo", key="k", args=[2])).status_code == 422
        assert len(await caller.turns(agent)) == 1


async def test_resuming_needs_no_new_event(own: Own) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("count", "echo")
        await caller.do(agent, "count", args=[20])
        events = await caller.events(agent)
        service.restart()
        url = f"{service.url}/agents/{agent}/stream"
        for cursor in (0, 7, len(events) - 1):
            async with following(url, cursor=cursor) as follower:
                check_slice(await follower.until(len(events)), events, cursor)
        async with following(url, cursor=len(events)) as follower:
            await caller.do(agent, "echo", args=[1])
            received = await follower.until(len(events) + 4)
            check_contiguous(received, len(events) + 1)


async def test_agents_of_the_code_are_taken_over(own: Own) -> None:
    """Their mailbox and log go on; nothing is logged when nothing has changed."""
    service = own()
    async with calling(service.url) as caller:
        before = await caller.do("coded", "echo", args=[1])
        events = await caller.events("coded")
        service.restart()
        assert await caller.events("coded") == events
        assert await caller.turn(before) == before
