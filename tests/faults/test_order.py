"""One turn at a time for each agent, in the order of its mailbox; agents side by side; locks across agents."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.caller import Caller, Json, calling
from tests.helpers import eventually
from tests.history import check_log
from tests.service import Service

pytestmark = pytest.mark.anyio


def spans(path: Path) -> list[tuple[str, str, int, int]]:
    """(agent, turn, start, end) of each execution, in the order of their starts."""
    started: dict[str, int] = {}
    found = []
    for line in path.read_text().splitlines():
        agent, turn_id, what, moment = line.split()
        if what == "start":
            started[turn_id] = int(moment)
        else:
            found.append((agent, turn_id, started.pop(turn_id), int(moment)))
    assert not started
    return sorted(found, key=lambda span: span[2])


def assert_apart(found: list[tuple[str, str, int, int]]) -> None:
    assert all(one[3] <= other[2] for one, other in pairwise(found)), "executions overlap"


async def lines(path: Path, number: int) -> None:
    await eventually(lambda: path.exists() and len(path.read_text().splitlines()) >= number)


async def test_each_agent_runs_its_turns_one_after_the_other(caller: Caller, tmp_path: Path) -> None:
    """In the order of their mailbox, which is full of them when the first one begins."""
    path, gate = tmp_path / "spans", tmp_path / "gate"
    agents = [await caller.make_agent("span", "gated") for _ in range(4)]
    for agent in agents:
        await caller.becomes(await caller.submit(agent, "gated", args=[str(gate)]), "running")

    async def post(agent: str) -> list[Json]:
        return [await caller.submit(agent, "span", args=[str(path)]) for _ in range(15)]

    turns = dict(zip(agents, await asyncio.gather(*map(post, agents)), strict=True))
    assert [turn["position"] for turn in turns[agents[0]]] == list(range(1, 16))
    gate.touch()
    for posted in turns.values():
        for turn in posted:
            assert (await caller.ended(turn))["status"] == "completed"
    by_agent = defaultdict(list)
    for span in spans(path):
        by_agent[span[0]].append(span)
    for agent in agents:
        assert_apart(by_agent[agent])
        assert [span[1] for span in by_agent[agent]] == [turn["id"] for turn in turns[agent]]
        check_log(await caller.events(agent))


async def test_agents_run_side_by_side(caller: Caller, tmp_path: Path) -> None:
    """Each of them waits for what only the next one, which runs at the same time, will do."""
    gates = [tmp_path / str(number) for number in range(3)]
    agents = [await caller.make_agent("gated") for _ in gates]
    turns = [await caller.submit(agent, "gated", args=[str(gate)]) for agent, gate in zip(agents, gates, strict=True)]
    for turn in turns:
        await caller.becomes(turn, "running")
    for gate, turn in zip(reversed(gates), reversed(turns), strict=True):
        gate.touch()
        assert (await caller.ended(turn))["status"] == "completed"


async def test_a_lock_is_for_all_agents_and_first_come_first_served(caller: Caller, tmp_path: Path) -> None:
    path, gate = tmp_path / "spans", tmp_path / "gate"
    turns = []
    for _ in range(5):
        agent = await caller.make_agent("locked_span")
        turns.append(await caller.submit(agent, "locked_span", args=[str(path), str(gate)], timeout=20))
        await lines(path, 1)  # the first one has it
        await eventually(lambda: _waits_or_runs(caller, turns[-1]))
    gate.touch()
    for turn in turns:
        assert (await caller.ended(turn))["status"] == "completed"
    found = spans(path)
    assert_apart(found)
    assert [span[1] for span in found] == [turn["id"] for turn in turns]


async def _waits_or_runs(caller: Caller, turn: Json) -> bool:
    found = await caller.turn(turn)
    return bool(found["status"] == "running" or found["waiting_for"] == "lock")


async def test_waiting_for_a_lock_is_not_running(caller: Caller, tmp_path: Path) -> None:
    """The waiting turn is queued, its timeout does not count yet, and a cancel takes it out."""
    path, gate = tmp_path / "spans", tmp_path / "gate"
    holder, waiter, leaver = [await caller.make_agent("locked_span", "echo") for _ in range(3)]
    held = await caller.submit(holder, "locked_span", args=[str(path), str(gate)])
    await lines(path, 1)
    waiting = await caller.submit(waiter, "locked_span", args=[str(path)], timeout=0.3)
    leaving = await caller.submit(leaver, "locked_span", args=[str(path)])
    behind = await caller.submit(leaver, "echo", args=["behind"])
    for turn in (waiting, leaving):
        await eventually(lambda turn=turn: _is_waiting(caller, turn))  # type: ignore[misc]
        found = await caller.turn(turn)
        assert (found["status"], found["position"], found["attempt"], found["start_time"]) == ("queued", 1, 0, None)
    assert (await caller.cancel(leaving)).status_code == 200
    assert (await caller.ended(behind))["output"] == "behind"
    await asyncio.sleep(0.4)  # longer than the timeout of the turn that waits
    assert await _is_waiting(caller, waiting)
    gate.touch()
    assert [(await caller.ended(turn))["status"] for turn in (held, waiting)] == ["completed", "completed"]
    assert [event["type"] for event in await caller.of_turn(leaving)] == ["turn.queued", "turn.cancelled"]
    assert len(spans(path)) == 2


async def _is_waiting(caller: Caller, turn: Json) -> bool:
    return bool((await caller.turn(turn))["waiting_for"] == "lock")


@pytest.mark.parametrize("way_out", ["raise", "timeout", "cancel"])
async def test_a_lock_is_free_after_every_way_out(caller: Caller, way_out: str) -> None:
    one, other = await caller.make_agent("locked_failing"), await caller.make_agent("locked_failing")
    timeout = 0.1 if way_out == "timeout" else 20
    turn = await caller.submit(one, "locked_failing", args=[way_out], timeout=timeout)
    if way_out == "cancel":
        await caller.becomes(turn, "running")
        assert (await caller.cancel(turn)).status_code == 202
    expected = {"raise": "error", "timeout": "timeout", "cancel": "cancelled"}[way_out]
    assert (await caller.ended(turn))["status"] == expected
    after = await caller.do(other, "locked_failing", args=["raise"])
    assert after["error"] == {"type": "ValueError", "message": "on purpose"}


async def test_an_agent_with_many_turns_takes_turns_with_others(own: Callable[..., Service], tmp_path: Path) -> None:
    """With one place for all: the mailbox that has it does not keep it until it is empty."""
    path, gate = tmp_path / "spans", tmp_path / "gate"
    async with calling(own(concurrency=1).url) as caller:
        full, other = await caller.make_agent("gated", "span"), await caller.make_agent("span")
        await caller.becomes(await caller.submit(full, "gated", args=[str(gate)]), "running")
        turns = [await caller.submit(full, "span", args=[str(path)]) for _ in range(30)]
        turns.append(await caller.submit(other, "span", args=[str(path)]))
        gate.touch()
        for turn in turns:
            assert (await caller.ended(turn))["status"] == "completed"
    found = spans(path)
    assert_apart(found)
    assert [span[0] for span in found].index(other) <= 2
