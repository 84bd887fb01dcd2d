"""Put hooks guard every way into an agent's mailbox: HTTP, a send, its own put, a turn that its tool returned."""

from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller, Json
from tests.helpers import eventually
from tests.history import check_log

pytestmark = pytest.mark.anyio

WAYS = ("http", "put", "send", "return")
HOOKED = "hooked"


async def go(caller: Caller, how: str, metadata: dict[str, Any]) -> Json:
    """Let a turn with this metadata go that way to the agent; the turn itself, or the one that delivers it."""
    if how == "http":
        return await caller.submit(HOOKED, "echo", args=[how], metadata=metadata)
    agent = await caller.make_agent("deliver") if how == "send" else HOOKED
    return await caller.do(agent, "deliver", args=[how, HOOKED], kwargs={"metadata": metadata})


@pytest.mark.parametrize("how", WAYS)
async def test_each_runs_once(caller: Caller, tmp_path: Path, how: str) -> None:
    notes = tmp_path / "notes"
    await go(caller, how, {"notes": str(notes)})
    *_, last = await caller.turns(HOOKED)
    assert last["metadata"] == {"notes": str(notes)}
    assert (await caller.ended(last))["output"] == how
    await eventually(lambda: len(notes.read_text().splitlines()) >= 2)
    assert (await caller.do(HOOKED, "echo", args=["later"]))["status"] == "completed"
    assert notes.read_text().splitlines() == [f"before {HOOKED}", f"after {HOOKED}"]


@pytest.mark.parametrize("how", WAYS)
async def test_a_refused_turn_is_not_stored(caller: Caller, tmp_path: Path, how: str) -> None:
    notes = tmp_path / "notes"
    metadata = {"notes": str(notes), "refused": True}
    if how == "http":
        answer = await caller.post(HOOKED, "echo", args=[1], metadata=metadata)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, "submit-rejected")
        assert "not this one" in answer.json()["detail"]
    else:
        turn = await go(caller, how, metadata)
        assert (turn["status"], turn["error"]["type"]) == ("error", "hook" if how == "return" else "ValueError")
    assert not [turn for turn in await caller.turns(HOOKED) if "refused" in turn["metadata"]]
    assert notes.read_text().splitlines() == [f"before {HOOKED}"]
    check_log(await caller.events(HOOKED))
