"""More code that misbehaves: what it raises or yields ends its turn and nothing else, and so does what it leaves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller
from tests.faults.hostile import EXCEPTIONS, FINE, VALUES
from tests.helpers import eventually
from tests.history import check_log
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

AGENTS = Path(__file__).with_name("hostile.py")
SETTINGS = {"cancel_grace": 0.4, "retention_events": 200_000}
"""Whole logs are checked, also that of a turn with 100,000 values."""
# What an exception is called in the turn's error, where it is not its key; Python turns some into others.
TYPES = {
    "StopIteration": "RuntimeError", "no name": "Exception", "a long name": None,
    "causes in a ring": "ValueError", "Denying": "SystemExit",
}  # fmt: skip
NAMES = 128


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("server"), AGENTS, settings=SETTINGS) as service:
        yield service


async def check_alive(service: Service, caller: Caller, agent: str, pid: int) -> None:
    assert (await caller.do(agent, "say", args=["alive"]))["output"] == "alive"
    assert (service.running, service.pid) == (True, pid)
    check_log(await caller.events(agent))


@pytest.mark.parametrize("tool", ["raises", "raises_later"])
@pytest.mark.parametrize("kind", EXCEPTIONS)
async def test_exceptions(service: Service, caller: Caller, tool: str, kind: str) -> None:
    agent, pid = await caller.make_agent(tool, "say"), service.pid
    turn = await caller.do(agent, tool, args=[kind])
    expected = TYPES.get(kind, kind)
    assert turn["status"] == "error"
    assert len(turn["error"]["type"]) <= NAMES
    assert len(turn["error"]["message"]) <= 4096
    assert turn["values"] == (1 if tool == "raises_later" else 0)
    if expected is not None:
        assert turn["error"]["type"] == expected
    assert (await caller.of_turn(turn))[-1]["data"]["error"] == turn["error"]
    await check_alive(service, caller, agent, pid)


@pytest.mark.parametrize("tool", ["gives", "gives_later"])
@pytest.mark.parametrize("kind", VALUES)
async def test_values(service: Service, caller: Caller, tool: str, kind: str) -> None:
    agent, pid = await caller.make_agent(tool, "say"), service.pid
    turn = await caller.do(agent, tool, args=[kind])
    assert (turn["status"], turn["error"]["type"]) == ("error", VALUES[kind][1])
    assert len(turn["error"]["message"]) <= 4096
    await check_alive(service, caller, agent, pid)


@pytest.mark.parametrize("kind", FINE)
async def test_values_that_are_fine(service: Service, caller: Caller, kind: str) -> None:
    """They look dangerous, and arrive as they are."""
    agent, pid, value = await caller.make_agent("gives", "gives_later", "say"), service.pid, FINE[kind][1]
    one, many = await caller.do(agent, "gives", args=[kind]), await caller.do(agent, "gives_later", args=[kind])
    assert (one["status"], many["status"]) == ("completed", "completed")
    if value is not None:
        assert (one["output"], many["output"]) == (value, ["first", value])
    await check_alive(service, caller, agent, pid)


async def test_an_endless_generator(service: Service, caller: Caller) -> None:
    agent, pid = await caller.make_agent("endless_values", "say"), service.pid
    turn = await caller.do(agent, "endless_values")
    assert (turn["status"], turn["error"]["type"], turn["values"]) == ("error", "too_many_values", 100_000)
    await check_alive(service, caller, agent, pid)


@pytest.mark.parametrize(
    ("tool", "noted"), [("ignores_its_end", "one GeneratorExit\n"), ("yields_when_closed", "closing\n")]
)
async def test_generators_that_do_not_end(
    service: Service, caller: Caller, tmp_path: Path, tool: str, noted: str
) -> None:
    """They are told once; what they yield after that goes nowhere."""
    agent, pid, notes = await caller.make_agent(tool, "say"), service.pid, tmp_path / "notes"
    turn = await caller.do(agent, tool, args=[str(notes)])
    assert (turn["status"], turn["error"]["type"]) == ("error", "not_json")
    assert notes.read_text().startswith(noted)
    await check_alive(service, caller, agent, pid)


async def count_tasks(caller: Caller) -> Any:
    return (await caller.do(await caller.make_agent("count_tasks"), "count_tasks"))["output"]


@pytest.mark.parametrize("how", ["completed", "timeout"])
async def test_tasks_end_with_the_turn(service: Service, caller: Caller, tmp_path: Path, how: str) -> None:
    tool = "leaves_tasks" if how == "completed" else "leaves_tasks_and_hangs"
    agent, pid, notes = await caller.make_agent(tool, "say"), service.pid, tmp_path / "notes"
    before = await count_tasks(caller)
    args: list[Any] = [str(notes), 10] if how == "completed" else [str(notes)]
    turn = await caller.do(agent, tool, args=args, timeout=0.2 if how == "timeout" else 60)
    assert turn["status"] == how
    assert notes.read_text() == "ended\n" * (10 if how == "completed" else 1)
    assert await count_tasks(caller) == before
    await check_alive(service, caller, agent, pid)


async def test_a_thread_outlives_its_turn(service: Service, caller: Caller, tmp_path: Path) -> None:
    """Nobody can end it; but what it starts on the loop after the turn's end is ended at once."""
    agent, pid, notes, gate = await caller.make_agent("leaves_a_thread", "say"), service.pid, *_files(tmp_path)
    turn = await caller.do(agent, "leaves_a_thread", args=[str(notes), str(gate)])
    assert turn["status"] == "completed"
    gate.touch()
    await eventually(notes.exists)
    assert notes.read_text() == "thread ended\n"
    await check_alive(service, caller, agent, pid)


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / "notes", folder / "gate"
