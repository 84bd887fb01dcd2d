"""One key, one turn: for twins at once, for a body written otherwise, for each agent on its own."""

import asyncio
from collections import Counter

import pytest

from tests.caller import Caller
from tests.history import check_log

pytestmark = pytest.mark.anyio


async def test_twins_at_once(caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    answers = await asyncio.gather(*(caller.post(agent, "echo", key="twin", args=[1]) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Counter(answer.headers.get("Idempotency-Replayed") for answer in answers) == {"true": 49, None: 1}
    assert len(await caller.turns(agent)) == 1
    await caller.ended(answers[0].json())
    check_log(await caller.events(agent))


async def test_many_twins(caller: Caller) -> None:
    """Ten clients post the same forty turns, each at its own pace."""
    agent = await caller.make_agent("echo")

    async def post_all() -> list[str]:
        return [(await caller.submit(agent, "echo", key=f"k{number}", args=[number]))["id"] for number in range(40)]

    ids = await asyncio.gather(*(post_all() for _ in range(10)))
    assert len({tuple(each) for each in ids}) == 1
    assert [turn["args"] for turn in await caller.turns(agent)] == [[number] for number in range(40)]
    await caller.ended(ids[0][-1])
    check_log(await caller.events(agent))


async def test_the_body_is_compared_as_json(caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    first = await caller.submit(agent, "echo", key="k", args=[1], kwargs={})
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    same = await caller.http.post(
        f"/agents/{agent}/turns", content=b'{ "kwargs": {},\n"args":[1], "tool":"echo"}', headers=headers
    )
    assert (same.status_code, same.json()["id"]) == (202, first["id"])
    other = await caller.post(agent, "echo", key="k", args=[2], kwargs={})
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (422, "idempotency-key-reused")


async def test_a_key_belongs_to_its_agent(caller: Caller) -> None:
    ids = {(await caller.submit(await caller.make_agent("echo"), "echo", key="k", args=[1]))["id"] for _ in range(3)}
    assert len(ids) == 3


async def test_a_refusal_is_not_remembered(caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    assert (await caller.post(agent, "gated", key="k", args=["/"])).status_code == 422
    assert (await caller.post(agent, "echo", key="k", args=[1])).status_code == 202


async def test_a_replay_tells_how_the_turn_is_now(caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    turn = await caller.submit(agent, "echo", key="k", args=["done"])
    await caller.ended(turn)
    again = await caller.submit(agent, "echo", key="k", args=["done"])
    assert (again["id"], again["status"], again["output"]) == (turn["id"], "completed", "done")
