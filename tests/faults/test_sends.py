"""Messages between agents: committed when ``await`` returns, refused in the tool, known by parent, root and hops."""

from pathlib import Path

import pytest

from tests.caller import Caller, Json
from tests.helpers import eventually
from tests.history import check_log
from tests.service import Service

pytestmark = pytest.mark.anyio


async def test_a_send(caller: Caller) -> None:
    sender, target = await caller.make_agent("send"), await caller.make_agent("echo")
    turn = await caller.do(sender, "send", args=[target, "echo", {"value": "hello"}], kwargs={"times": 3})
    assert turn["status"] == "completed"
    sent = await caller.turns(target)
    assert [(found["parent"], found["root"], found["hops"]) for found in sent] == [
        ({"agent": sender, "id": turn["id"]}, turn["id"], 1)
    ] * 3
    assert (turn["parent"], turn["root"], turn["hops"]) == (None, turn["id"], 0)
    assert [(await caller.ended(found))["output"] for found in sent] == ["hello"] * 3
    queued = next(event for event in await caller.events(target) if event["type"] == "turn.queued")
    assert queued["data"]["parent"] == {"agent": sender, "id": turn["id"]}


async def test_a_turn_that_fails_later_has_sent(caller: Caller) -> None:
    sender, target = await caller.make_agent("send_then_fail"), await caller.make_agent("echo")
    assert (await caller.do(sender, "send_then_fail", args=[target, 1]))["status"] == "error"
    assert [(await caller.ended(found))["output"] for found in await caller.turns(target)] == [1]


async def test_the_message_is_there_before_the_sender_goes_on(caller: Caller, tmp_path: Path) -> None:
    sender, target, gate = await caller.make_agent("send"), await caller.make_agent("echo"), tmp_path / "gate"
    turn = await caller.submit(sender, "send", args=[target, "echo", {"value": 1}], kwargs={"gate": str(gate)})
    received: list[Json] = await eventually(lambda: caller.turns(target))
    assert (await caller.ended(received[0]))["output"] == 1
    assert (await caller.turn(turn))["status"] == "running"
    gate.touch()
    assert (await caller.ended(turn))["status"] == "completed"


@pytest.mark.parametrize(
    ("to", "tool", "kwargs", "error"),
    [
        ("nobody", "echo", {"value": 1}, "UnregisteredAgentError"),
        ("", "gated", {"gate": "/"}, "ValueError"),
        ("", "echo", {}, "ArgumentsError"),
        ("", "echo", {"value": 1, "other": 2}, "ArgumentsError"),
        ("", "no_such_tool", {}, "UnregisteredToolError"),
    ],
)
async def test_what_cannot_be_sent_raises_in_the_tool(
    caller: Caller, to: str, tool: str, kwargs: Json, error: str
) -> None:
    sender, target = await caller.make_agent("send"), await caller.make_agent("echo")
    turn = await caller.do(sender, "send", args=[to or target, tool, kwargs])
    assert (turn["status"], turn["error"]["type"]) == ("error", error), turn["error"]
    assert await caller.turns(target) == []


async def test_a_full_mailbox(caller: Caller, tmp_path: Path) -> None:
    """Raises in the tool what a client would get as 429; what had room is kept."""
    sender, target, gate = await caller.make_agent("send"), await caller.make_agent("gated", "echo"), tmp_path / "gate"
    held = await caller.submit(target, "gated", args=[str(gate)])
    await caller.becomes(held, "running")
    turn = await caller.do(sender, "send", args=[target, "echo", {"value": 1}, 1001])
    assert (turn["status"], turn["error"]["type"]) == ("error", "mailbox_full")
    answer = await caller.post(target, "echo", args=[1])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert (await caller.agent(target))["queued"] == 1000
    gate.touch()
    await caller.agent_becomes(target, "idle")
    assert len(await caller.turns(target)) == 1001
    check_log(await caller.events(target))


async def test_a_loop_of_messages_stops(caller: Caller) -> None:
    """A to B to A and so on ends at the limit of hops; nobody hangs."""
    one, other = [await caller.make_agent("bounce") for _ in range(2)]
    await caller.submit(one, "bounce", args=[other])

    async def stopped() -> list[Json]:
        turns = await caller.turns(one) + await caller.turns(other)
        return [turn for turn in turns if turn["status"] == "error"]

    (last,) = await eventually(stopped, timeout=15)
    assert (last["error"]["type"], last["hops"]) == ("HopLimit", 32)
    turns = await caller.turns(one) + await caller.turns(other)
    assert sorted(turn["hops"] for turn in turns) == list(range(33))
    for agent in (one, other):
        await caller.agent_becomes(agent, "idle")
        check_log(await caller.events(agent))


async def test_put_to_oneself(caller: Caller) -> None:
    """Waits behind the turn that put it; it is no hop."""
    agent = await caller.make_agent("put", "echo")
    turn = await caller.do(agent, "put", args=["mine"])
    _, put = await caller.turns(agent)
    assert (await caller.ended(put))["output"] == "mine"
    assert (put["parent"], put["root"], put["hops"]) == ({"agent": agent, "id": turn["id"]}, turn["id"], 0)
    check_log(await caller.events(agent))


async def test_put_with_a_delay(caller: Caller) -> None:
    agent = await caller.make_agent("put", "echo")
    await caller.do(agent, "put", args=["later"], kwargs={"delay": 0.3})
    _, put = await caller.turns(agent)
    assert put["status"] == "scheduled"
    assert (await caller.ended(put))["output"] == "later"


async def test_a_returned_turn(caller: Caller) -> None:
    """It is enqueued with the end of the turn that returned it, which has no value of its own."""
    agent = await caller.make_agent("returns_turn", "echo")
    turn = await caller.do(agent, "returns_turn", args=["echo", {"value": "next"}])
    _, returned = await caller.turns(agent)
    assert (turn["status"], turn["values"], turn["output"]) == ("completed", 0, None)
    assert (await caller.of_turn(turn))[-1]["data"]["next"] == returned["id"]
    assert (await caller.ended(returned))["output"] == "next"
    assert returned["hops"] == 0
    check_log(await caller.events(agent))


async def test_a_returned_turn_that_the_agent_cannot_take(caller: Caller) -> None:
    agent = await caller.make_agent("returns_turn")
    for tool, kwargs in (("echo", {"value": 1}), ("returns_turn", {})):
        turn = await caller.do(agent, "returns_turn", args=[tool, kwargs])
        assert turn["status"] == "error", turn
    assert len(await caller.turns(agent)) == 2


async def test_agents_of_the_code_send_to_those_of_the_api(service: Service, caller: Caller) -> None:
    target = await caller.make_agent("echo")
    assert (await caller.do("coded", "send", args=[target, "echo", {"value": 1}]))["status"] == "completed"
    assert [(await caller.ended(found))["output"] for found in await caller.turns(target)] == [1]


async def test_memory_is_committed_with_completed_only(caller: Caller, tmp_path: Path) -> None:
    tools, gate = ("remember", "remember_and_return"), str(tmp_path / "never")
    agent = await caller.make_agent(*tools, memory={"limit": 3})
    assert (await caller.do(agent, "remember", args=["a"]))["output"] == ["a"]
    assert (await caller.do(agent, "remember", args=["lost", "raise"]))["status"] == "error"
    assert (await caller.do(agent, "remember", args=["lost", "return", gate], timeout=0.1))["status"] == "timeout"
    # The tool is through, and only then its turn fails: the agent does not accept what it returned.
    assert (await caller.do(agent, "remember_and_return", args=["lost", "echo"]))["status"] == "error"
    running = await caller.submit(agent, "remember", args=["lost", "return", gate])
    await caller.becomes(running, "running")
    await caller.cancel(running)
    assert (await caller.ended(running))["status"] == "cancelled"
    outputs = [(await caller.do(agent, "remember", args=[item]))["output"] for item in "bcd"]
    assert outputs == [["a", "b"], ["a", "b", "c"], ["b", "c", "d"]]


WAYS = ("put", "send", "return")


@pytest.mark.parametrize("how", WAYS)
async def test_a_time_limit_that_no_turn_can_have(caller: Caller, how: str) -> None:
    """Refused in the tool, by the same error whichever way the turn goes; nothing is stored."""
    agent, target = await caller.make_agent("deliver", "echo"), await caller.make_agent("echo")
    limits = ["inf", "nan", "-5", "0", "1e9"]
    for limit in limits:
        turn = await caller.do(agent, "deliver", args=[how, target, limit])
        assert (turn["status"], turn["error"]["type"]) == ("error", "ValueError"), (limit, turn)
    assert len(await caller.turns(agent)) == len(limits)
    assert await caller.turns(target) == []


@pytest.mark.parametrize("how", WAYS)
async def test_no_time_limit_is_the_longest_one(caller: Caller, how: str) -> None:
    agent, target = await caller.make_agent("deliver", "echo"), await caller.make_agent("echo")
    assert (await caller.do(agent, "deliver", args=[how, target, "none"]))["status"] == "completed"
    *_, made = await caller.turns(target if how == "send" else agent)
    assert (made["tool"], made["timeout"]) == ("echo", 86_400)
    assert (await caller.ended(made))["output"] == how


@pytest.mark.parametrize("how", WAYS)
async def test_a_turn_with_hooks_of_its_own_cannot_be_stored(caller: Caller, how: str) -> None:
    """They are functions. Dropping them silently would be worse than an error."""
    agent, target = await caller.make_agent("deliver", "echo"), await caller.make_agent("echo")
    turn = await caller.do(agent, "deliver", args=[how, target], kwargs={"hooked": True})
    assert (turn["status"], turn["error"]["type"]) == ("error", "ValueError")
    assert (len(await caller.turns(agent)), await caller.turns(target)) == (1, [])
