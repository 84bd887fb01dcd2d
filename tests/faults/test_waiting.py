"""What the answer of a submit that has waited shows is what its turn shows."""

import asyncio
from pathlib import Path

import pytest

from tests.caller import Caller
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

WAIT = {"Prefer": "wait=1"}


async def test_a_turn_that_waits_for_its_next_attempt(caller: Caller) -> None:
    """It was begun at once, so its agent was busy when it was accepted."""
    agent = await caller.make_agent("own_timeout")
    body = {"tool": "own_timeout", "retry": {"max_attempts": 2, "delay": 60}}
    answer = (await caller.http.post(f"/agents/{agent}/turns", json=body, headers=WAIT)).json()
    assert (answer["status"], answer["position"], answer["waiting_for"]) == ("queued", 1, "retry")
    assert answer == await caller.turn(answer)


async def test_a_turn_whose_agent_was_paused_meanwhile(caller: Caller, tmp_path: Path) -> None:
    agent, gate = await caller.make_agent("gated", "echo"), tmp_path / "gate"
    running = await caller.submit(agent, "gated", args=[str(gate)])
    posting = asyncio.ensure_future(
        caller.http.post(f"/agents/{agent}/turns", json={"tool": "echo", "args": [1]}, headers=WAIT)
    )

    async def is_queued() -> bool:
        return bool((await caller.http.get(f"/agents/{agent}")).json()["queued"] == 1)

    await eventually(is_queued)
    assert (await caller.http.post(f"/agents/{agent}/pause")).status_code == 200
    gate.touch()
    await caller.ended(running)
    answer = (await posting).json()
    assert (answer["status"], answer["waiting_for"]) == ("queued", "paused")
    assert answer == await caller.turn(answer)


async def test_many_at_once_are_told_how_they_ended(caller: Caller) -> None:
    """Each ends about when its submit is answered, so that its end comes at any moment of the waiting."""
    agents = [await caller.make_agent("echo") for _ in range(8)]

    async def post(agent: str, value: int) -> None:
        body = {"tool": "echo", "args": [value]}
        answer = await caller.http.post(f"/agents/{agent}/turns", json=body, headers={"Prefer": "wait=20"})
        assert (answer.status_code, answer.json()["output"]) == (200, value)
        assert answer.json() == await caller.turn(answer.json())

    for value in range(12):
        await asyncio.gather(*(post(agent, value) for agent in agents))
