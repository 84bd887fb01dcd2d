"""Turns that agents make are charged to who asked for the first of them: over agents, restarts and kill -9."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from pygents_app.rates import LONGEST_DEBT_SECONDS
from tests.caller import Caller, Json, calling
from tests.helpers import eventually
from tests.service import Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]
ADMIN = "correct-horse-battery"
SCOPES = ["turns:write", "turns:cancel", "agents:read"]
RATE, BURST, SENT = 1, 30, 200
OWED = 10
"""Seconds: so long has nobody to wait who does not owe anything. What is sent is forgiven after a minute."""


class Key(NamedTuple):
    id: str
    caller: Caller


def rated(own: Own, **settings: object) -> Service:
    return own(admin_key=ADMIN, rate=RATE, rate_burst=BURST, mailbox_limit=5_000, **settings)


@asynccontextmanager
async def key_of(service: Service, **limits: Any) -> AsyncIterator[Key]:
    """One that was just made: nothing has counted for it."""
    async with calling(service.url, ADMIN) as admin:
        made = await admin.http.post("/keys", json={"scopes": SCOPES, **limits})
    assert made.status_code == 201, made.text
    async with calling(service.url, made.json()["key"]) as caller:
        yield Key(made.json()["id"], caller)


@asynccontextmanager
async def unlimited(service: Service) -> AsyncIterator[Caller]:
    """An admin whom no rate holds up."""
    async with calling(service.url, ADMIN) as admin:
        made = await admin.http.post("/keys", json={"scopes": ["admin"], "rate": 0})
    async with calling(service.url, made.json()["key"]) as caller:
        yield caller


async def submit_refused(caller: Caller, agent: str) -> httpx.Response | None:
    """The refusal of a further turn, if the caller owes for turns that agents have made.

    By what it has submitted itself it may have to wait for one token at most.
    """
    answer = await caller.post(agent, "echo", kwargs={"value": 1})
    refused = answer.status_code == 429 and answer.headers["ratelimit"].startswith('"turns";r=0')
    return answer if refused and wait_of(answer) > OWED else None


def wait_of(refusal: httpx.Response) -> int:
    return int(refusal.headers["retry-after"])


async def all_ended(admin: Caller, *agents: str) -> bool:
    return {(await admin.agent(agent))["status"] for agent in agents} == {"idle"}


class TestCharging:
    async def test_what_a_turn_sends_keeps_its_key_waiting_and_no_other(self, own: Own) -> None:
        service = rated(own)
        async with unlimited(service) as admin, key_of(service) as key, key_of(service) as other:
            sender, target = await admin.make_agent("send", "echo"), await admin.make_agent("echo")
            kwargs = {"to": target, "tool_name": "echo", "kwargs": {"value": 1}, "times": SENT}
            turn = await key.caller.submit(sender, "send", kwargs=kwargs)
            assert (await admin.ended(turn))["status"] == "completed", "a send is not refused for what is owed"
            refusal = await eventually(lambda: submit_refused(key.caller, sender))
            assert refusal is not None
            assert wait_of(refusal) <= LONGEST_DEBT_SECONDS
            assert len(await admin.turns(target)) == SENT, "none is lost"
            # It may look, and cancel; and nobody else notices.
            assert (await key.caller.turn(turn))["status"] == "completed"
            assert (await key.caller.cancel(turn)).status_code == 409
            await other.caller.do(target, "echo", kwargs={"value": 2})

    @pytest.mark.parametrize("how", ["put", "returned"])
    async def test_so_do_turns_of_its_own(self, own: Own, how: str) -> None:
        """Each of them is one, however it is made."""
        service = rated(own)
        async with unlimited(service) as admin, key_of(service, rate=0.001, burst=3) as key:
            agent = await admin.make_agent("put", "returns_turn", "echo")
            tool, kwargs = ("put", {"value": 1}) if how == "put" else ("returns_turn", RETURNED)
            first = await key.caller.submit(agent, tool, kwargs=kwargs)
            await admin.ended(first)
            # Two of three are used up: the one that was asked for, and the one that it has made.
            last = await key.caller.post(agent, "echo", kwargs={"value": 2})
            assert last.status_code == 202
            assert last.headers["ratelimit"].endswith('"turns";r=0;t=3000')
            assert await submit_refused(key.caller, agent) is not None

    async def test_a_loop_of_agents_is_its_owners_and_can_be_ended_by_him(self, own: Own) -> None:
        """It goes on all the while: what is owed refuses nothing that a turn sends."""
        service = rated(own, max_hops=1_000_000)
        async with unlimited(service) as admin, key_of(service) as key:
            ping, pong = [await admin.make_agent("bounce", "echo") for _ in range(2)]
            await key.caller.submit(ping, "bounce", kwargs={"to": pong})

            async def owes() -> httpx.Response | None:
                return await submit_refused(key.caller, ping)

            refusal = await eventually(owes, timeout=60)
            assert refusal is not None
            for agent in (ping, pong):
                assert (await admin.http.post(f"/agents/{agent}/pause")).status_code == 200
            turns = [turn for agent in (ping, pong) for turn in await admin.turns(agent)]
            left = [turn for turn in turns if turn["status"] not in ("completed", "running")]
            assert {turn["status"] for turn in left} <= {"queued"}, "nothing of the loop was lost or has failed"
            for turn in left:
                assert (await key.caller.cancel(turn)).status_code == 200

    async def test_code_of_nobody_and_a_service_without_a_rate(self, own: Own) -> None:
        service = own()
        async with calling(service.url) as caller:
            sender, target = await caller.make_agent("send"), await caller.make_agent("echo")
            kwargs = {"to": target, "tool_name": "echo", "kwargs": {"value": 1}, "times": SENT}
            await caller.do(sender, "send", kwargs=kwargs)
            for _ in range(BURST):
                await caller.submit(target, "echo", kwargs={"value": 1})


RETURNED: Json = {"tool_name": "echo", "kwargs": {"value": 1}}


async def test_whom_a_turn_is_charged_to_outlives_the_process(own: Own, tmp_path: Path) -> None:
    """Two hops and two kills after the request: from the mailbox of another agent."""
    service, gate = rated(own), tmp_path / "gate"
    async with unlimited(service) as admin, key_of(service) as key:
        sender, relay, target = [await admin.make_agent("gated", "send", "echo", "says") for _ in range(3)]
        await admin.submit(sender, "gated", kwargs={"gate": str(gate)})  # behind which the rest waits
        await admin.http.post(f"/agents/{relay}/pause")
        burst = {"to": target, "tool_name": "echo", "kwargs": {"value": 1}, "times": SENT}
        body = {"tool": "send", "kwargs": {"to": relay, "tool_name": "send", "kwargs": burst}}
        asked = await key.caller.http.post(f"/agents/{sender}/turns", json=body, headers={"X-Request-Id": "root-1"})
        assert asked.status_code == 202
        said = {"to": relay, "tool_name": "says", "kwargs": {"text": "hello"}}
        await key.caller.http.post(
            f"/agents/{sender}/turns", json={"tool": "send", "kwargs": said}, headers={"X-Request-Id": "root-2"}
        )
        service.restart()  # the gate's turn is interrupted; the others begin in this process
        assert (await admin.ended(asked.json()))["status"] == "completed"

        async def both() -> list[Json] | None:
            found = await admin.turns(relay)
            return found if len(found) == 2 else None

        sent = await eventually(both) or []
        service.restart()  # what is sent waits for a relay that is paused
        assert (await key.caller.post(target, "echo", kwargs={"value": 0})).status_code == 202, "nothing is owed yet"
        await admin.http.post(f"/agents/{relay}/resume")
        assert (await admin.ended(sent[0]))["status"] == "completed"
        assert await eventually(lambda: submit_refused(key.caller, sender)) is not None
        await eventually(lambda: all_ended(admin, relay, target))
        (line,) = [line for line in service.log.splitlines() if "it says hello" in line]
        assert "request=root-2]" in line, "a line of a tool names the request that its chain began with"
