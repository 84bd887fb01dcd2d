"""Turns that make turns without end: chains, circles and bombs stop at the limits, and nobody is left hanging."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.caller import ENDED, Caller, Json, calling
from tests.helpers import eventually
from tests.history import check_log
from tests.service import serving

pytestmark = pytest.mark.anyio

SERVED = Path(__file__).with_name("crowd.py")
HOPS, ROOM = 12, 40
OWN_CHAIN = 1_000


class Crowd(NamedTuple):
    """``ways``: to whom the turns of each agent send more of their kind, ``times`` each, all at once."""

    ways: dict[str, tuple[str, ...]]
    times: int
    errors: frozenset[str]


CROWDS = {
    "to itself": Crowd({"a": ("a",)}, 1, frozenset({"HopLimit"})),
    "there and back": Crowd({"a": ("b",), "b": ("a",)}, 1, frozenset({"HopLimit"})),
    "in a circle of four": Crowd(
        {"a": ("b",), "b": ("c",), "c": ("d",), "d": ("a",)}, 1, frozenset({"HopLimit"})
    ),
    "to itself, doubling": Crowd({"a": ("a",)}, 2, frozenset({"mailbox_full", "HopLimit"})),
    "all to all, doubling": Crowd(
        {"a": ("a", "b", "c"), "b": ("a", "b", "c"), "c": ("a", "b", "c")}, 2, frozenset({"mailbox_full", "HopLimit"})
    ),
}  # fmt: skip


async def _all_turns(caller: Caller, crowd: Crowd, names: dict[str, str]) -> list[Json]:
    return [turn for agent in crowd.ways for turn in await caller.turns(names[agent])]


@pytest.mark.parametrize("how", CROWDS)
async def test_it_stops_at_a_limit(tmp_path: Path, how: str) -> None:
    crowd = CROWDS[how]
    settings = {"max_hops": HOPS, "mailbox_limit": ROOM}
    with serving(tmp_path, SERVED, settings=settings) as service:
        async with calling(service.url) as caller:
            names = {agent: await caller.make_agent("bomb", name=agent) for agent in crowd.ways}
            await caller.submit("a", "bomb", kwargs={"ways": crowd.ways, "times": crowd.times})

            async def at_rest() -> list[Json] | None:
                """The mailboxes are looked at one after the other, and what goes round may pass behind: so twice."""
                turns = await _all_turns(caller, crowd, names)
                is_over = all(turn["status"] in ENDED for turn in turns)
                return turns if is_over and turns == await _all_turns(caller, crowd, names) else None

            turns = await eventually(at_rest, timeout=60) or []
            outcomes = Counter(turn["error"]["type"] if turn["error"] else turn["status"] for turn in turns)
            assert set(outcomes) <= {"completed", *crowd.errors}, outcomes
            assert set(outcomes) & crowd.errors, "it did not come to a limit"
            assert max(turn["hops"] for turn in turns) <= HOPS
            for agent in crowd.ways:
                await caller.agent_becomes(agent, "idle")
                check_log(await caller.events(agent))
            _parents_exist(turns)


def _parents_exist(turns: list[Json]) -> None:
    """All are of one family, and each knows where it comes from."""
    by_id = {turn["id"]: turn for turn in turns}
    first = next(turn for turn in turns if turn["parent"] is None)
    for turn in turns:
        assert turn["root"] == first["id"]
        if turn is not first:
            assert turn["hops"] == by_id[turn["parent"]["id"]]["hops"] + 1


async def test_a_chain_of_a_thousand_hops(tmp_path: Path) -> None:
    with serving(tmp_path, SERVED, settings={"max_hops": OWN_CHAIN}) as service:
        async with calling(service.url) as caller:
            one, other = [await caller.make_agent("bounce") for _ in range(2)]
            await caller.submit(one, "bounce", args=[other])

            async def last() -> list[Json]:
                answer = await caller.http.get("/turns", params={"status": "error"})
                return list(answer.json()["items"])

            (turn,) = await eventually(last, timeout=60)
            assert (turn["error"]["type"], turn["hops"]) == ("HopLimit", OWN_CHAIN)
            turns = await caller.turns(one) + await caller.turns(other)
            assert sorted(each["hops"] for each in turns) == list(range(OWN_CHAIN + 1))
            for agent in (one, other):
                await caller.agent_becomes(agent, "idle")
                check_log(await caller.events(agent))
