"""SIGTERM: streams are told and end within a second, nothing new is taken, running turns may finish, it is gone."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.caller import Caller, Json, calling
from tests.follower import following
from tests.helpers import eventually
from tests.history import check_log
from tests.service import Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]
EXITED = (0, -signal.SIGTERM)
"""uvicorn ends by the signal that it was given."""


async def test_a_running_turn_finishes(own: Own, tmp_path: Path) -> None:
    service, gate = own(), tmp_path / "gate"
    async with calling(service.url) as caller:
        agent = await caller.make_agent("gated", "echo")
        running = await caller.submit(agent, "gated", args=[str(gate)])
        waiting = await caller.submit(agent, "echo", args=["after the restart"])
        await caller.becomes(running, "running")
        async with following(f"{service.url}/agents/{agent}/stream") as follower:
            await follower.until((await caller.agent(agent))["latest"])
            began = time.monotonic()
            service.signal(signal.SIGTERM)
            await follower.to_end()
            assert time.monotonic() - began < 1.0
            assert (follower.frames[-1].event, follower.frames[-1].data) == ("stream.closing", '{"reason":"draining"}')
        refused = await caller.post(agent, "echo", args=[1])
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert (await caller.http.get("/readyz")).status_code == 503
        assert (await caller.http.get("/healthz")).status_code == 200
        assert (await caller.turn(running))["status"] == "running"
        async with following(f"{service.url}/agents/{agent}/stream") as follower:
            assert follower.status == 200  # an EventSource that sees another status never comes back
            await follower.to_end()
            assert [frame.event for frame in follower.frames] == ["stream.closing"]
        gate.touch()
        await eventually(lambda: not service.running)
        assert service.wait(0) in EXITED
    service.start()
    async with calling(service.url) as caller:
        assert (await caller.turn(running))["output"] == "through"
        assert (await caller.ended(waiting))["output"] == "after the restart"
        check_log(await caller.events(agent))


@pytest.mark.parametrize("tool", ["gated", "stubborn"])
async def test_a_turn_that_does_not_finish_is_interrupted(own: Own, tmp_path: Path, tool: str) -> None:
    service = own(drain=0.3)
    async with calling(service.url) as caller:
        agent = await caller.make_agent(tool)
        turn = await caller.submit(agent, tool, args=[str(tmp_path / "never")])
        await caller.becomes(turn, "running")
    began = time.monotonic()
    assert await asyncio.to_thread(service.stop) in EXITED
    assert time.monotonic() - began < 0.3 + 5
    service.start()
    async with calling(service.url) as caller:
        found = await caller.ended(turn)
        assert (found["status"], found["error"]["type"]) == ("error", "interrupted")
        check_log(await caller.events(agent))


async def test_a_second_signal_ends_it_at_once(own: Own, tmp_path: Path) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("gated", "echo")
        turn = await caller.submit(agent, "gated", args=[str(tmp_path / "never")])
        await caller.becomes(turn, "running")
        service.signal(signal.SIGINT)
        await eventually(lambda: _is_draining(service))
        assert service.running
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        await eventually(lambda: not service.running)
        assert time.monotonic() - began < 1.0
    service.start()
    async with calling(service.url) as caller:
        assert (await caller.ended(turn))["error"]["type"] == "interrupted"
        assert (await caller.do(agent, "echo", args=[1]))["output"] == 1


async def _is_draining(service: Service) -> bool:
    async with calling(service.url) as caller:
        return (await caller.http.get("/readyz")).status_code == 503


async def test_idle_with_many_streams(own: Own) -> None:
    """What uvicorn alone never does: it would wait for the streams for ever."""
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        await caller.do(agent, "echo", args=[1])

    async def read() -> str:
        async with following(f"{service.url}/agents/{agent}/stream") as follower:
            open_streams.append(follower)
            await follower.to_end()
            return follower.frames[-1].event

    open_streams: list[object] = []
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(100)]
        await eventually(lambda: len(open_streams) == 100)
        began = time.monotonic()
        service.signal(signal.SIGTERM)
    assert time.monotonic() - began < 1.0
    assert {reader.result() for reader in readers} == {"stream.closing"}
    await eventually(lambda: not service.running)
    assert service.wait(0) in EXITED


async def _lines(path: Path, number: int) -> None:
    await eventually(lambda: path.exists() and len(path.read_text().splitlines()) >= number)


async def test_a_turn_that_waits_for_a_lock_is_not_begun(own: Own, tmp_path: Path) -> None:
    """The lock becomes free during the drain, but the drain begins nothing: the turn runs after the restart."""
    service, gate, path = own(), tmp_path / "gate", tmp_path / "spans"
    async with calling(service.url) as caller:
        holder, waiter = await caller.make_agent("locked_span"), await caller.make_agent("locked_span")
        held = await caller.submit(holder, "locked_span", args=[str(path), str(gate)])
        await _lines(path, 1)
        waiting = await caller.submit(waiter, "locked_span", args=[str(path), str(gate)])
        await eventually(lambda: _waits_for(caller, waiting, "lock"))
        service.signal(signal.SIGTERM)
        await eventually(lambda: _is_draining(service))
        gate.touch()
        await eventually(lambda: not service.running, timeout=10)
    assert len(path.read_text().splitlines()) == 2
    service.start()
    async with calling(service.url) as caller:
        assert (await caller.turn(held))["status"] == "completed"
        assert ((await caller.ended(waiting))["status"], (await caller.turn(waiting))["attempt"]) == ("completed", 1)
        for agent in (holder, waiter):
            check_log(await caller.events(agent))


async def _waits_for(caller: Caller, turn: Json, what: str) -> bool:
    return bool((await caller.turn(turn))["waiting_for"] == what)


async def test_stuck_code_and_those_that_wait_for_its_lock_are_not_waited_for(own: Own, tmp_path: Path) -> None:
    """They have nothing to finish; the time for that is 30 s, and none of it is needed."""
    service, gate = own(), tmp_path / "gate"
    async with calling(service.url) as caller:
        stuck, waiter = await caller.make_agent("locked_stubborn"), await caller.make_agent("locked_stubborn")
        turn = await caller.submit(stuck, "locked_stubborn", args=[str(gate)])
        await caller.becomes(turn, "running")
        waiting = await caller.submit(waiter, "locked_stubborn", args=[str(gate)])
        await eventually(lambda: _waits_for(caller, waiting, "lock"))
        await caller.cancel(turn)
        await caller.agent_becomes(stuck, "stuck")
    service.signal(signal.SIGTERM)
    await eventually(lambda: not service.running, timeout=10)
    assert service.wait(0) in EXITED
    gate.touch()
    service.start()
    async with calling(service.url) as caller:
        assert (await caller.turn(turn))["status"] == "cancelled"
        assert (await caller.ended(waiting))["output"] == "late"
        check_log(await caller.events(stuck))


async def test_a_key_that_is_known_is_still_answered(own: Own, tmp_path: Path) -> None:
    service, gate = own(), tmp_path / "gate"
    async with calling(service.url) as caller:
        agent = await caller.make_agent("gated", "echo")
        running = await caller.submit(agent, "gated", key="k", args=[str(gate)])
        await caller.becomes(running, "running")
        service.signal(signal.SIGTERM)
        await eventually(lambda: _is_draining(service))
        again = await caller.post(agent, "gated", key="k", args=[str(gate)])
        assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (202, "true")
        assert (again.json()["id"], again.json()["status"]) == (running["id"], "running")
        assert (await caller.post(agent, "echo", key="other", args=[1])).status_code == 503
        assert (await caller.post(agent, "echo", key="k", args=[1])).status_code == 422
        gate.touch()
        await eventually(lambda: not service.running)


async def test_the_service_that_goes_away_is_not_the_client(own: Own, tmp_path: Path) -> None:
    """Who wants the turn cancelled when it leaves has not left because the service shuts down."""
    service, gate = own(), tmp_path / "gate"
    async with calling(service.url) as caller:
        agent = await caller.make_agent("gated")
        body = {"tool": "gated", "args": [str(gate)]}
        path, headers = f"/agents/{agent}/turns?on_disconnect=cancel", {"Accept": "text/event-stream"}
        async with caller.http.stream("POST", path, json=body, headers=headers) as answer:
            lines = answer.aiter_lines()
            while "turn.started" not in await anext(lines):
                pass
            service.signal(signal.SIGTERM)
            rest = [line async for line in lines]
            assert 'data: {"reason":"draining"}' in rest
        turn = answer.headers["location"].rpartition("/")[2]
        gate.touch()
        await eventually(lambda: not service.running)
    service.start()
    async with calling(service.url) as caller:
        assert (await caller.turn(turn))["output"] == "through"
