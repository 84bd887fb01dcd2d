"""Cancel and timeout: one end for each turn, whatever its code does; the mailbox goes on once that has stopped."""

from pathlib import Path

import pytest

from tests.caller import Caller, Json
from tests.faults.conftest import GRACE
from tests.helpers import eventually
from tests.history import TERMINAL, check_log

pytestmark = pytest.mark.anyio


async def ends_of(caller: Caller, turn: Json) -> list[str]:
    return [event["type"] for event in await caller.of_turn(turn) if event["type"] in TERMINAL]


async def test_queued(caller: Caller, tmp_path: Path) -> None:
    agent = await caller.make_agent("gated", "echo")
    gate = tmp_path / "gate"
    held = await caller.submit(agent, "gated", args=[str(gate)])
    queued, after = [await caller.submit(agent, "echo", args=[number]) for number in range(2)]
    answers = [await caller.cancel(queued, "not needed"), await caller.cancel(queued)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "cancelled")] * 2
    assert (await caller.turn(after))["position"] == 1
    gate.touch()
    assert (await caller.ended(after))["output"] == 1
    assert (await caller.turn(held))["status"] == "completed"
    assert [event["type"] for event in await caller.of_turn(queued)] == ["turn.queued", "turn.cancelled"]
    check_log(await caller.events(agent))


async def test_scheduled(caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    turn = await caller.submit(agent, "echo", args=[1], delay=0.3)
    assert (await caller.cancel(turn)).status_code == 200
    assert (await caller.do(agent, "echo", args=[2], delay=0.5))["output"] == 2
    assert (await caller.turn(turn))["status"] == "cancelled"
    assert await ends_of(caller, turn) == ["turn.cancelled"]


async def test_running(caller: Caller, tmp_path: Path) -> None:
    """The code is told at its next await, and may clean up."""
    agent, cleaned = await caller.make_agent("cleaning", "echo"), tmp_path / "cleaned"
    turn = await caller.submit(agent, "cleaning", args=[str(cleaned)])
    await eventually(lambda: _values(caller, turn, 1))
    answer = await caller.cancel(turn, "enough")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert (await caller.ended(turn))["status"] == "cancelled"
    assert cleaned.read_text() == "cleaned\n"
    end = (await caller.of_turn(turn))[-1]
    assert (end["type"], end["data"]["reason"]) == ("turn.cancelled", "enough")
    assert (await caller.do(agent, "echo", args=["next"]))["output"] == "next"
    check_log(await caller.events(agent))


@pytest.mark.parametrize("ended", [False, True])
async def test_with_what_came_of_it(caller: Caller, tmp_path: Path, ended: bool) -> None:
    """Those that wait and those that run, over several agents; but nobody else's."""
    sender, target, gate = await caller.make_agent("send"), await caller.make_agent("gated", "send"), tmp_path / "never"
    last = await caller.make_agent("gated")
    hold = {"gate": str(gate)}
    onward = {"to": last, "tool_name": "gated", "kwargs": hold, **hold}
    root = await caller.submit(sender, "send", args=[target, "send", onward], kwargs={} if ended else hold)
    (child,) = await eventually(lambda: caller.turns(target))
    (grandchild,) = await eventually(lambda: caller.turns(last))
    other = await caller.submit(last, "gated", kwargs=hold)
    if ended:
        await caller.ended(root)
    path = f"/agents/{sender}/turns/{root['id']}/cancel"
    answer = await caller.http.post(path, params={"cascade": "true"}, json={"reason": "all of it"})
    assert answer.status_code == (200 if ended else 202)
    assert [(await caller.ended(turn))["status"] for turn in (child, grandchild)] == ["cancelled"] * 2
    assert (await caller.ended(root))["status"] == ("completed" if ended else "cancelled")
    assert (await caller.of_turn(grandchild))[-1]["data"]["reason"] == "all of it"
    assert (await caller.becomes(other, "running"))["status"] == "running"
    again = await caller.http.post(path, params={"cascade": "true"})
    assert again.status_code == 200, "saying it again changes nothing, and is no mistake"
    assert (await caller.http.post(path, params={"cascade": "yes"})).status_code == 422


async def _values(caller: Caller, turn: Json, number: int) -> bool:
    return bool((await caller.turn(turn))["values"] >= number)


async def test_just_begun(caller: Caller) -> None:
    """Cancelled perhaps before the first step of its code: still exactly one end, never none and never two."""
    agent = await caller.make_agent("gated")
    for _ in range(30):
        turn = await caller.submit(agent, "gated", args=["/nowhere/at/all"])
        assert (await caller.cancel(turn)).status_code in (200, 202)
        assert (await caller.ended(turn))["status"] == "cancelled"
    check_log(await caller.events(agent))


async def test_ended(caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    turn = await caller.do(agent, "echo", args=[1])
    answer = await caller.cancel(turn)
    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["turn"]["status"] == "completed"
    assert await caller.turn(turn) == turn


async def test_unknown(caller: Caller) -> None:
    one, other = await caller.make_agent("echo"), await caller.make_agent("echo")
    turn = await caller.do(one, "echo", args=[1])
    assert (await caller.cancel(turn | {"agent": other})).status_code == 404


async def test_cancel_against_finish(caller: Caller, tmp_path: Path) -> None:
    """The first commit wins, and everybody is told the same."""
    agent = await caller.make_agent("gated")
    for number in range(20):
        gate = tmp_path / str(number)
        turn = await caller.submit(agent, "gated", args=[str(gate)])
        gate.touch()
        answer = await caller.cancel(turn)
        expected = "completed" if answer.status_code == 409 else "cancelled"
        ended = await caller.ended(turn)
        assert (ended["status"], await ends_of(caller, turn)) == (expected, [f"turn.{expected}"])
    check_log(await caller.events(agent))


@pytest.mark.parametrize("tool", ["stubborn", "stubborn_count"])
async def test_stubborn(caller: Caller, tmp_path: Path, tool: str) -> None:
    """The turn ends after the grace all the same; the agent is stuck, and takes up its mailbox when the code ends."""
    agent, gate = await caller.make_agent(tool, "echo"), tmp_path / "gate"
    turn = await caller.submit(agent, tool, args=[str(gate)])
    await caller.becomes(turn, "running")
    behind = await caller.submit(agent, "echo", args=["behind"])
    assert (await caller.cancel(turn)).status_code == 202
    assert (await caller.ended(turn))["status"] == "cancelled"
    stuck = await caller.agent_becomes(agent, "stuck")
    assert (stuck["queued"], (await caller.turn(behind))["status"]) == (1, "queued")
    log = await caller.of_turn(turn)
    other = await caller.make_agent("echo")
    assert (await caller.do(other, "echo", args=[1]))["status"] == "completed"
    gate.touch()
    assert (await caller.ended(behind))["output"] == "behind"
    assert (await caller.agent_becomes(agent, "idle"))["status"] == "idle"
    assert await caller.of_turn(turn) == log, "something was logged after the turn's end"
    check_log(await caller.events(agent))


@pytest.mark.parametrize("tool", ["gated", "gated_count", "swallowing"])
async def test_timeout(caller: Caller, tmp_path: Path, tool: str) -> None:
    """Of a coroutine, of a whole generator, and of code that takes the cancellation for a result."""
    agent = await caller.make_agent(tool, "echo")
    args = {"gated": [str(tmp_path / "x")], "gated_count": [str(tmp_path / "x"), 2], "swallowing": []}[tool]
    turn = await caller.do(agent, tool, args=args, timeout=0.2)
    assert (turn["status"], turn["stop_reason"], turn["output"]) == ("timeout", "timeout", None)
    end = (await caller.of_turn(turn))[-1]
    assert (end["type"], end["data"]) == ("turn.timeout", {"timeout": 0.2})
    assert (await caller.do(agent, "echo", args=[1]))["output"] == 1
    check_log(await caller.events(agent))


async def test_stubborn_timeout(caller: Caller, tmp_path: Path) -> None:
    agent, gate = await caller.make_agent("stubborn", "echo"), tmp_path / "gate"
    turn = await caller.submit(agent, "stubborn", args=[str(gate)], timeout=0.1)
    assert (await caller.ended(turn))["status"] == "timeout"
    await caller.agent_becomes(agent, "stuck")
    gate.touch()
    assert (await caller.do(agent, "echo", args=[1]))["output"] == 1
    assert (await caller.turn(turn))["status"] == "timeout"
    check_log(await caller.events(agent))


async def test_a_timeout_of_the_tools_own_is_an_error(caller: Caller) -> None:
    agent = await caller.make_agent("own_timeout")
    turn = await caller.do(agent, "own_timeout")
    assert (turn["status"], turn["error"]) == ("error", {"type": "TimeoutError", "message": "mine"})


async def test_the_grace_is_not_waited_for(caller: Caller, tmp_path: Path) -> None:
    """Code that stops when it is told to ends its turn at once."""
    agent = await caller.make_agent("gated")
    turn = await caller.submit(agent, "gated", args=[str(tmp_path / "never")])
    await caller.becomes(turn, "running")
    await caller.cancel(turn)
    await eventually(lambda: _ended(caller, turn), timeout=GRACE)


async def _ended(caller: Caller, turn: Json) -> bool:
    return bool((await caller.turn(turn))["status"] == "cancelled")


async def test_a_timeout_of_a_turn_that_the_tool_ran_is_an_error(caller: Caller) -> None:
    agent = await caller.make_agent("another_timeout")
    turn = await caller.do(agent, "another_timeout")
    assert (turn["status"], turn["error"]["type"]) == ("error", "TurnTimeoutError")
    assert (await caller.of_turn(turn))[-1]["type"] == "turn.error"


async def test_stuck_code_that_yields_a_lot_reaches_its_end(caller: Caller, tmp_path: Path) -> None:
    """More than may be pending: what nobody takes any more must not hold it up, or its agent is stuck for ever."""
    agent, gate, reached = await caller.make_agent("stubborn_burst", "echo"), tmp_path / "gate", tmp_path / "reached"
    turn = await caller.submit(agent, "stubborn_burst", args=[str(gate), str(reached), 600])
    await caller.becomes(turn, "running")
    behind = await caller.submit(agent, "echo", args=["behind"])
    assert (await caller.cancel(turn)).status_code == 202
    assert (await caller.ended(turn))["status"] == "cancelled"
    await caller.agent_becomes(agent, "stuck")
    gate.touch()
    await eventually(reached.exists)
    assert (await caller.ended(behind))["output"] == "behind"
    assert (await caller.turn(turn))["values"] == 0
    check_log(await caller.events(agent))
