"""Agents that are paused, changed and deleted while they work, on a real server that may be killed at any moment."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.caller import Caller, calling
from tests.follower import following
from tests.helpers import eventually
from tests.history import check_log
from tests.service import Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]


async def delete(caller: Caller, agent: str, *, force: bool = True) -> None:
    answer = await caller.http.delete(f"/agents/{agent}", params={"force": str(force).lower()})
    assert answer.status_code == 204, answer.text


async def pause(caller: Caller, agent: str, what: str = "pause") -> None:
    assert (await caller.http.post(f"/agents/{agent}/{what}")).status_code == 200


class TestPause:
    async def test_the_running_turn_finishes_and_the_next_waits(self, caller: Caller, tmp_path: Path) -> None:
        agent, gate = await caller.make_agent("gated", "echo"), tmp_path / "gate"
        running = await caller.submit(agent, "gated", args=[str(gate)])
        waiting = await caller.submit(agent, "echo", args=[1])
        await pause(caller, agent)
        gate.touch()
        assert (await caller.ended(running))["output"] == "through"
        await caller.agent_becomes(agent, "paused")
        assert (await caller.turn(waiting))["waiting_for"] == "paused"
        await pause(caller, agent, "resume")
        assert (await caller.ended(waiting))["output"] == 1
        check_log(await caller.events(agent))

    async def test_it_outlives_the_process(self, own: Own) -> None:
        service = own()
        async with calling(service.url) as caller:
            agent = await caller.make_agent("echo")
            await pause(caller, agent)
            turn = await caller.submit(agent, "echo", args=[1])
            service.restart()
            assert (await caller.agent(agent))["status"] == "paused"
            await pause(caller, agent, "resume")
            assert (await caller.ended(turn))["output"] == 1


class TestPatch:
    async def test_a_turn_whose_tool_was_taken_away(self, caller: Caller) -> None:
        agent = await caller.make_agent("echo", "locked_span", "nothing")
        await pause(caller, agent)
        turns = [await caller.submit(agent, tool, args=args) for tool, args in (
            ("echo", [1]), ("locked_span", ["/dev/null"]), ("nothing", []),
        )]  # fmt: skip
        answer = await caller.http.patch(f"/agents/{agent}", json={"tools": ["nothing"]})
        assert answer.json()["tools"] == ["nothing"]
        await pause(caller, agent, "resume")
        ends = [await caller.ended(turn) for turn in turns]
        assert [end["status"] for end in ends] == ["error", "error", "completed"]
        assert [end["error"]["type"] for end in ends[:2]] == ["tool_removed"] * 2
        assert "'echo'" in ends[0]["error"]["message"]
        check_log(await caller.events(agent))

    async def test_a_turn_that_waits_for_the_lock_of_a_tool_that_was_taken_away(
        self, caller: Caller, tmp_path: Path
    ) -> None:
        """Begun by another command while a runner waits with it, it must not be lost between the two."""
        holder, waiter = await caller.make_agent("locked_span"), await caller.make_agent("locked_span", "echo")
        gate, ran = tmp_path / "gate", tmp_path / "ran"
        await caller.submit(holder, "locked_span", args=[str(tmp_path / "a"), str(gate)])
        waiting = await caller.submit(waiter, "locked_span", args=[str(ran)])
        await eventually(lambda: _waits_for(caller, waiting["id"], "lock"))
        await caller.http.patch(f"/agents/{waiter}", json={"tools": ["echo"]})
        behind = await caller.submit(waiter, "echo", args=["on"])
        assert (await caller.ended(waiting))["error"]["type"] == "tool_removed"
        assert (await caller.ended(behind))["output"] == "on"
        gate.touch()
        assert not ran.exists()
        check_log(await caller.events(waiter))

    async def test_a_tool_that_was_taken_away_is_not_entered_when_its_lock_is_free(
        self, caller: Caller, tmp_path: Path
    ) -> None:
        """What counts is the agent as it is when the turn begins, not when it began to wait."""
        holder, waiter = await caller.make_agent("locked_span"), await caller.make_agent("locked_span", "echo")
        gate, ran = tmp_path / "gate", tmp_path / "ran"
        await caller.submit(holder, "locked_span", args=[str(tmp_path / "a"), str(gate)])
        waiting = await caller.submit(waiter, "locked_span", args=[str(ran)])
        await eventually(lambda: _waits_for(caller, waiting["id"], "lock"))
        await caller.http.patch(f"/agents/{waiter}", json={"tools": ["echo"]})
        gate.touch()
        assert (await caller.ended(waiting))["error"]["type"] == "tool_removed"
        assert not ran.exists()

    async def test_a_new_tool_can_be_used_at_once(self, caller: Caller) -> None:
        agent = await caller.make_agent("nothing")
        assert (await caller.post(agent, "echo", args=[1])).status_code == 422
        await caller.http.patch(f"/agents/{agent}", json={"tools": ["echo"]})
        assert (await caller.do(agent, "echo", args=[1]))["output"] == 1


class TestDelete:
    async def test_streams_end_and_are_not_found_again(self, caller: Caller, service: Service, tmp_path: Path) -> None:
        agent = await caller.make_agent("gated_count")
        turn = await caller.submit(agent, "gated_count", args=[str(tmp_path / "never"), 1])
        base = f"{service.url}/agents/{agent}"
        async with (
            following(f"{base}/stream") as whole,
            following(f"{base}/stream?types=turn.value") as values,
            following(f"{base}/turns/{turn['id']}/stream") as one,
        ):
            await asyncio.gather(whole.until(4), values.until(4), one.until(4))
            await delete(caller, agent)
            ends = await asyncio.gather(whole.to_end(), values.to_end(), one.to_end())
        assert [event["type"] for event in ends[0]][-2:] == ["turn.cancelled", "agent.deleted"]
        assert ends[0][-2]["data"] == {"by": "anonymous", "reason": "the agent was deleted"}
        assert [event["type"] for event in ends[1]] == ["turn.value"]
        assert ends[2][-1]["type"] == "turn.cancelled"
        async with following(f"{base}/stream", cursor=4) as again:
            assert again.status == 404

    async def test_the_code_of_its_turn_is_told_to_stop(self, caller: Caller, tmp_path: Path) -> None:
        agent, cleaned = await caller.make_agent("cleaning"), tmp_path / "cleaned"
        turn = await caller.submit(agent, "cleaning", args=[str(cleaned)])
        await eventually(lambda: _has_value(caller, turn["id"]))
        await delete(caller, agent)
        assert await eventually(cleaned.exists)

    async def test_another_of_its_name_waits_for_its_code(self, caller: Caller, tmp_path: Path) -> None:
        """Turns of one name never overlap, not even when the name belongs to another agent by now."""
        agent, gate = await caller.make_agent("stubborn", "echo"), tmp_path / "gate"
        turn = await caller.submit(agent, "stubborn", args=[str(gate)])
        await caller.becomes(turn, "running")
        before = (await caller.agent(agent))["latest"]
        await delete(caller, agent)
        await caller.make_agent("echo", name=agent)
        waiting = await caller.submit(agent, "echo", args=["later"])
        assert waiting["status"] == "queued"
        await caller.agent_becomes(agent, "stuck")
        assert (await caller.turn(waiting))["waiting_for"] == "previous"
        gate.touch()
        assert (await caller.ended(waiting))["output"] == "later"
        events = await caller.events(agent)
        assert events[0]["seq"] == before + 3  # turn.cancelled, agent.deleted
        assert [event["type"] for event in events] == [
            "agent.created", "turn.queued", "turn.started", "turn.value", "turn.completed",
        ]  # fmt: skip

    async def test_an_accepted_turn_is_answered_as_accepted(self, caller: Caller) -> None:
        """Whoever deletes the agent before the answer is made does not make it a turn that was not there."""
        agents = [await caller.make_agent("echo") for _ in range(4)]
        seen: set[int] = set()

        async def submit(agent: str, headers: dict[str, str]) -> None:
            for number in range(40):
                answer = await caller.http.post(
                    f"/agents/{agent}/turns", json={"tool": "echo", "args": [number]}, headers=headers
                )
                seen.add(answer.status_code)
                if answer.status_code == 404:
                    assert answer.json()["type"].endswith(":agent-not-found")
                elif "text/event-stream" in answer.headers["content-type"]:
                    assert "event: turn.queued" in answer.text
                    assert "event: turn.completed" in answer.text or "event: turn.cancelled" in answer.text

        async def replace(agent: str) -> None:
            for _ in range(40):
                await delete(caller, agent)
                await caller.make_agent("echo", name=agent)

        wishes = ({"Prefer": "wait=5"}, {"Accept": "text/event-stream"})
        await asyncio.gather(*(submit(agent, wish) for agent in agents for wish in wishes), *map(replace, agents))
        assert 200 in seen
        assert seen <= {200, 202, 404}

    async def test_a_turn_that_waits_for_a_lock(self, caller: Caller, tmp_path: Path) -> None:
        holder, waiter = await caller.make_agent("locked_span"), await caller.make_agent("locked_span")
        gate = tmp_path / "gate"
        holding = await caller.submit(holder, "locked_span", args=[str(tmp_path / "a"), str(gate)])
        await caller.becomes(holding, "running")
        waiting = await caller.submit(waiter, "locked_span", args=[str(tmp_path / "b")])
        await eventually(lambda: _waits_for(caller, waiting["id"], "lock"))
        await delete(caller, waiter)
        gate.touch()
        assert (await caller.ended(holding))["status"] == "completed"
        assert (await caller.do(holder, "locked_span", args=[str(tmp_path / "c")]))["status"] == "completed"
        assert not (tmp_path / "b").exists()

    async def test_a_send_to_it_fails_in_the_tool(self, caller: Caller) -> None:
        sender, target = await caller.make_agent("send"), await caller.make_agent("echo")
        await delete(caller, target)
        turn = await caller.do(sender, "send", args=[target, "echo", {"value": 1}])
        assert (turn["status"], turn["error"]["type"]) == ("error", "UnregisteredAgentError")

    async def test_it_stays_deleted_and_its_numbers_used(self, own: Own, tmp_path: Path) -> None:
        service = own()
        async with calling(service.url) as caller:
            agent = await caller.make_agent("gated", "echo")
            await caller.submit(agent, "gated", args=[str(tmp_path / "never")])
            await caller.submit(agent, "echo", args=[1], key="k")
            last = (await caller.agent(agent))["latest"] + 3  # two turns are cancelled, then the agent deleted
            await delete(caller, agent)
            service.restart()
            assert (await caller.http.get(f"/agents/{agent}")).status_code == 404
            await caller.make_agent("echo", name=agent)
            turn = await caller.submit(agent, "echo", args=[2], key="k")
            assert (await caller.ended(turn))["output"] == 2
            assert [event["seq"] for event in await caller.events(agent)] == list(range(last + 1, last + 6))
            assert len(await caller.turns(agent)) == 1

    async def test_an_agent_of_the_code_that_is_served(self, own: Own) -> None:
        service = own()
        async with calling(service.url) as caller:
            present = (await caller.http.delete("/agents/hooked")).json()
            assert (present["status"], present["type"]) == (409, "urn:pygents:problem:code-agent")


class TestBatch:
    async def test_every_mistake_is_told(self, caller: Caller) -> None:
        """By the service as it is composed: tools, arguments, hooks."""
        agent = await caller.make_agent("echo", "count")
        body = [
            {"tool": "echo", "args": [1]}, {"tool": "count", "args": ["x"]}, {"tool": "unheard"},
            {"tool": "count", "kwargs": {"to": 1, "dleay": 1}},
        ]  # fmt: skip
        answer = await caller.http.post(f"/agents/{agent}/turns/batch", json=body)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/1/args/0", "/2/tool", "/3/kwargs/dleay"]
        assert await caller.turns(agent) == []

    async def test_every_turn_of_it_passes_the_put_hooks(self, caller: Caller, tmp_path: Path) -> None:
        notes = [tmp_path / str(number) for number in range(3)]
        body = [{"tool": "echo", "args": [1], "metadata": {"notes": str(path)}} for path in notes]
        refused = [*body, {"tool": "echo", "args": [1], "metadata": {"refused": True}}]
        answer = await caller.http.post("/agents/hooked/turns/batch", json=refused)
        assert answer.json()["type"].endswith("submit-rejected")
        assert await caller.turns("hooked") == []
        for path in notes:
            path.unlink()
        assert (await caller.http.post("/agents/hooked/turns/batch", json=body)).status_code == 202
        for path in notes:
            assert path.read_text() == "before hooked\nafter hooked\n"

    async def test_more_than_the_mailbox_ever_holds(self, own: Own) -> None:
        """Trying again would not help, so it is no 429."""
        service = own(mailbox_limit=5)
        async with calling(service.url) as caller:
            agent = await caller.make_agent("echo")
            answer = await caller.http.post(f"/agents/{agent}/turns/batch", json=[{"tool": "echo", "args": [1]}] * 6)
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "")
            assert "1 to 5" in answer.json()["errors"][0]["detail"]
            assert (await caller.http.get("/limits")).json()["batch_turns"] == 5

    async def test_all_of_it_over_a_kill(self, own: Own, tmp_path: Path) -> None:
        service, gate = own(), tmp_path / "gate"
        async with calling(service.url) as caller:
            agent = await caller.make_agent("gated", "echo")
            body = [{"tool": "gated", "args": [str(gate)]}, *({"tool": "echo", "args": [n]} for n in range(500))]
            headers = {"Idempotency-Key": "all-of-it"}
            first = await caller.http.post(f"/agents/{agent}/turns/batch", json=body, headers=headers)
            assert first.status_code == 202
            service.restart()
            again = await caller.http.post(f"/agents/{agent}/turns/batch", json=body, headers=headers)
            assert again.headers["idempotency-replayed"] == "true"
            ids = [turn["id"] for turn in first.json()["items"]]
            assert [turn["id"] for turn in again.json()["items"]] == ids
            assert (await caller.ended(ids[-1]))["output"] == 499
            turns = await caller.turns(agent)
            assert [turn["output"] for turn in turns[1:]] == list(range(500))
            assert turns[0]["error"]["type"] == "interrupted"
            check_log(await caller.events(agent))


async def _has_value(caller: Caller, turn: str) -> bool:
    return bool((await caller.turn(turn))["values"])


async def _waits_for(caller: Caller, turn: str, what: str) -> bool:
    return bool((await caller.turn(turn))["waiting_for"] == what)
