"""Tools that block the loop on which tools run: found, reported, and everything else gets out of their way."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller, Json, calling
from tests.helpers import eventually
from tests.history import TERMINAL, check_log
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

AGENTS = Path(__file__).with_name("blocking.py")
GRACE = 0.4
MOST_RETIRED = 4


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("CLOSED", str(tmp_path / "closed"))
    with serving(tmp_path, AGENTS, settings={"cancel_grace": GRACE, "hook_timeout": 1, "drain": 1}) as service:
        yield service


@pytest.fixture
async def caller(service: Service) -> AsyncIterator[Caller]:
    async with calling(service.url) as found:
        yield found


class Gate:
    """A file that blocked code waits for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def open(self) -> None:
        self._path.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Open after the test, so that nothing of it stays blocked."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    passed = time.monotonic() - began
    assert passed < seconds, f"it took {passed:.2f} s"


async def blocked(caller: Caller, gate: Gate, tool: str = "block", **fields: Any) -> Json:
    """A turn that blocks its loop, once that was found."""
    turn = await caller.submit(await caller.make_agent(tool, "quick"), tool, args=[str(gate)], **fields)
    await caller.agent_becomes(turn["agent"], "blocked")
    return turn


async def one_worker(caller: Caller) -> None:
    """Those that were replaced have ended."""
    agent = await caller.make_agent("workers")

    async def is_alone() -> bool:
        return len((await caller.do(agent, "workers"))["output"]) == 1

    await eventually(is_alone, timeout=10)


async def ends_of(caller: Caller, turn: Json) -> list[str]:
    return [event["type"] for event in await caller.of_turn(turn) if event["type"] in TERMINAL]


@pytest.mark.parametrize("tool", ["block", "block_in_a_task"])
async def test_found_reported_and_out_of_the_way(service: Service, caller: Caller, gate: Gate, tool: str) -> None:
    neighbour = await caller.submit(await caller.make_agent("patient", "quick"), "patient", args=[str(gate)])
    agent, other = await caller.make_agent(tool), await caller.make_agent("quick", "where")
    assert (await caller.do(other, "where"))["output"] == "pygents-worker"
    with within(2.0):
        turn = await caller.submit(agent, tool, args=[str(gate)])
        assert (await caller.do(other, "quick", args=["on"]))["output"] == "on"
    await caller.agent_becomes(agent, "blocked")
    assert f" s by turn {turn['id']} of agent {agent}: everything" in service.log
    assert "time.sleep(POLL_SECONDS)" in service.log
    assert (await caller.agent(neighbour["agent"]))["status"] == "blocked"
    assert (await caller.agent(other))["status"] == "idle"
    assert (await caller.do(other, "where"))["output"] == "pygents-worker-2"
    assert (await caller.http.get("/readyz")).status_code == 200
    gate.open()
    assert (await caller.ended(turn))["output"] == "came back"
    assert (await caller.ended(neighbour))["output"] == "through"
    for name in (agent, neighbour["agent"]):
        await caller.agent_becomes(name, "idle")
    await one_worker(caller)
    assert (await caller.do(other, "where"))["output"] == "pygents-worker-2"


async def test_found_within_a_second(caller: Caller, gate: Gate) -> None:
    agent = await caller.make_agent("block")
    turn = await caller.submit(agent, "block", args=[str(gate)])
    await caller.becomes(turn, "running")
    with within(1.0):
        await caller.agent_becomes(agent, "blocked")


@pytest.mark.parametrize("tool", ["patient", "patient_count"])
async def test_a_neighbours_cancel_is_recorded_from_outside(caller: Caller, gate: Gate, tool: str) -> None:
    agent = await caller.make_agent(tool, "quick")
    neighbour = await caller.submit(agent, tool, args=[str(gate)])
    if tool == "patient_count":
        await eventually(lambda: _has_values(caller, neighbour))
    await blocked(caller, gate)
    behind = await caller.submit(agent, "quick", args=["behind"])
    assert (await caller.cancel(neighbour, "enough")).status_code == 202
    with within(GRACE + 1.5):
        assert (await caller.ended(neighbour))["status"] == "cancelled"
    log = await caller.of_turn(neighbour)
    assert (await caller.agent(agent))["status"] == "blocked"
    assert (await caller.turn(behind))["status"] == "queued"
    gate.open()
    assert (await caller.ended(behind))["output"] == "behind"
    assert await caller.of_turn(neighbour) == log, "something was logged after the turn's end"
    check_log(await caller.events(agent))
    await caller.agent_becomes(agent, "idle")


async def _has_values(caller: Caller, turn: Json) -> bool:
    return bool((await caller.turn(turn))["values"])


async def test_a_neighbours_timeout_is_recorded_from_outside(caller: Caller, gate: Gate) -> None:
    agent = await caller.make_agent("patient", "quick")
    neighbour = await caller.submit(agent, "patient", args=[str(gate)], timeout=1.2)
    await caller.becomes(neighbour, "running")
    await blocked(caller, gate)
    assert (await caller.ended(neighbour))["status"] == "timeout"
    behind = await caller.submit(agent, "quick", args=["behind"])
    gate.open()
    assert (await caller.ended(behind))["output"] == "behind"
    assert await ends_of(caller, neighbour) == ["turn.timeout"]
    check_log(await caller.events(agent))


@pytest.mark.parametrize("how", ["cancelled", "timeout"])
async def test_the_end_of_the_turn_that_blocks(caller: Caller, gate: Gate, how: str) -> None:
    turn = await blocked(caller, gate, timeout=0.1 if how == "timeout" else 60)
    behind = await caller.submit(turn["agent"], "quick", args=["behind"])
    if how == "cancelled":
        assert (await caller.cancel(turn)).status_code == 202
    assert (await caller.ended(turn))["status"] == how
    assert (await caller.turn(behind))["status"] == "queued"
    gate.open()
    assert (await caller.ended(behind))["output"] == "behind"
    assert await ends_of(caller, turn) == [f"turn.{how}"]
    check_log(await caller.events(turn["agent"]))


async def test_when_the_loop_comes_back_in_time_nothing_has_happened(caller: Caller, gate: Gate) -> None:
    """Nobody asked the turns to stop: they end as what they are."""
    turn = await blocked(caller, gate)
    neighbours = [await caller.make_agent("patient") for _ in range(3)]
    gate.open()
    for name in neighbours:
        assert (await caller.do(name, "patient", args=[str(gate)]))["output"] == "through"
    assert (await caller.ended(turn))["status"] == "completed"
    check_log(await caller.events(turn["agent"]))


async def test_at_most_so_many(service: Service, caller: Caller, gate: Gate) -> None:
    """Then the service is not ready; cancels are still recorded, and it mends itself."""
    turns = [await blocked(caller, gate) for _ in range(MOST_RETIRED)]
    assert (await caller.http.get("/readyz")).status_code == 503
    other = await caller.make_agent("quick")
    assert (await caller.do(other, "quick", args=["on"]))["output"] == "on"
    turns.append(await blocked(caller, gate))
    assert service.log.count("takes the place of") == MOST_RETIRED
    waiting = await caller.submit(other, "quick", args=["later"])
    assert (await caller.cancel(turns[-1])).status_code == 202
    assert (await caller.ended(turns[-1]))["status"] == "cancelled"
    gate.open()
    assert (await caller.ended(waiting))["output"] == "later"
    assert [(await caller.ended(turn))["status"] for turn in turns] == ["completed"] * MOST_RETIRED + ["cancelled"]
    await eventually(service.is_ready, timeout=10)
    await one_worker(caller)


async def test_the_lock_of_a_blocked_tool(caller: Caller, gate: Gate, tmp_path: Path) -> None:
    """Its holder is on one worker, who waits for it on another: still one at a time."""
    path, agents = tmp_path / "spans", [await caller.make_agent("block_locked") for _ in range(3)]
    turns = [await caller.submit(name, "block_locked", args=[str(gate), str(path)]) for name in agents]
    await caller.agent_becomes(agents[0], "blocked")
    late = await caller.submit(await caller.make_agent("block_locked"), "block_locked", args=[str(gate), str(path)])
    for turn in (*turns[1:], late):
        found = await caller.turn(turn)
        assert (found["status"], found["waiting_for"]) == ("queued", "lock")
    gate.open()
    for turn in (*turns, late):
        assert (await caller.ended(turn))["status"] == "completed"
    spans = [line.split() for line in path.read_text().splitlines()]
    assert [word for word, _ in spans] == ["start", "end"] * 4
    assert [turn for word, turn in spans if word == "start"] == [turn["id"] for turn in (*turns, late)]


async def test_put_hooks(caller: Caller, gate: Gate) -> None:
    """They run on the worker that is not blocked; one that blocks itself is too slow."""
    await blocked(caller, gate)
    assert (await caller.do("guarded", "quick", args=[1]))["output"] == 1
    with within(2.5):
        answer = await caller.post("blocking-guard", "quick", args=[1], metadata={"gate": str(gate)})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "unavailable")
    assert (await caller.do("guarded", "quick", args=[2]))["output"] == 2
    assert not await caller.turns("blocking-guard")


async def test_clients_of_one_loop(service: Service, caller: Caller, gate: Gate, tmp_path: Path) -> None:
    agent = await caller.make_agent("use_client")
    assert [(await caller.do(agent, "use_client"))["output"] for _ in range(2)] == ["pygents-worker"] * 2
    turn = await blocked(caller, gate)
    assert (await caller.do(agent, "use_client"))["output"] == "pygents-worker-2"
    gate.open()
    await caller.ended(turn)
    closed = tmp_path / "closed"
    await eventually(closed.exists, timeout=10)
    assert closed.read_text() == "pygents-worker pygents-worker\n"
    assert await asyncio.to_thread(service.stop) in (0, -15, 143)
    assert closed.read_text().splitlines()[1:] == ["pygents-worker-2 pygents-worker-2"]


async def test_shutdown(service: Service, caller: Caller, gate: Gate) -> None:
    turn = await blocked(caller, gate)
    with within(1 + 5):
        await asyncio.to_thread(service.stop)
    service.start()
    ended = await caller.ended(turn)
    assert (ended["status"], ended["error"]["type"]) == ("error", "interrupted")


async def test_at_random(service: Service, caller: Caller, tmp_path: Path) -> None:
    """Tools that block, wait, hold a lock, are cancelled or late, all at once: one end each, one at a time."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, notes = random.Random(seed), tmp_path / "notes"
    agents = [await caller.make_agent("span", "locked_span") for _ in range(8)]
    turns: list[Json] = []
    for _ in range(60):
        how, seconds = ("block", chance.uniform(0.3, 1.0)) if chance.random() < 0.12 else ("wait", chance.random() / 10)
        tool, timeout = chance.choice(["span", "span", "locked_span"]), chance.choice([0.05, 60, 60])
        args = [str(notes), how, seconds]
        turns.append(await caller.submit(chance.choice(agents), tool, args=args, timeout=timeout))
        if chance.random() < 0.2:
            await caller.cancel(chance.choice(turns))
    ends = [(await caller.ended(turn))["status"] for turn in turns]
    assert set(ends) <= {"completed", "timeout", "cancelled"}
    for name in agents:
        check_log(await caller.events(name))
        await caller.agent_becomes(name, "idle")
    inside: set[str] = set()
    for line in notes.read_text().splitlines():
        who, what = line.split()
        assert (what == "start") is (who not in inside), f"{who}: {what}"
        inside ^= {who}
    assert not inside
    await one_worker(caller)


@pytest.mark.slow
async def test_code_that_holds_the_interpreter(service: Service, caller: Caller) -> None:
    """Nobody can do anything then, but its stack is told, and the service goes on."""
    agent = await caller.make_agent("hold_interpreter")
    turn = await caller.submit(agent, "hold_interpreter", args=[2.5])
    assert (await caller.ended(turn))["status"] == "completed"
    assert (await caller.http.get("/healthz")).status_code == 200
    assert "in hold_interpreter" in service.log
    await eventually(lambda: "the interpreter was held for about" in service.log)
