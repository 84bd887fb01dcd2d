"""A damaged file under a real server: refused in one line, or served but for what is damaged."""

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.caller import calling
from tests.follower import following
from tests.service import COMMAND, START_SECONDS, Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]


def change(database: Path, statement: str, *arguments: object) -> None:
    with closing(sqlite3.connect(database)) as db, db:
        assert db.execute(statement, arguments).rowcount == 1


def refusal(service: Service) -> str:
    before = len(service.log)
    service.launch()
    assert service.wait(START_SECONDS) == 2
    (line,) = [line for line in service.log[before:].splitlines() if not line.startswith(("INFO", "20"))]
    assert line.startswith("error: ")
    return line


async def test_a_lost_log_is_refused_and_so_is_an_empty_file(own: Own) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        await caller.do(agent, "echo", args=[1])
    service.kill()
    log = service.database.with_name("pygents.db-wal")
    kept = log.read_bytes()
    log.unlink()
    assert "pygents restore" in refusal(service)
    log.write_bytes(kept)
    service.start()
    service.stop()
    whole = service.database.read_bytes()
    service.database.write_bytes(b"")
    assert "pygents restore" in refusal(service)
    service.database.write_bytes(whole[: len(whole) // 2])
    assert "pygents restore" in refusal(service)
    service.database.write_bytes(whole)
    service.start()


async def test_an_agent_of_the_code_whose_row_is_damaged_stands_still_alone(own: Own) -> None:
    service = own()
    service.stop()
    change(service.database, "UPDATE agents SET latest = 99 WHERE name = 'coded'")
    service.start()
    async with calling(service.url) as caller:
        assert (await caller.http.get("/agents/coded")).status_code == 500
        assert (await caller.post("coded", "echo", args=[1])).json()["type"] == "urn:pygents:problem:damaged"
        assert (await caller.do("hooked", "echo", args=["goes on"]))["output"] == "goes on"
    assert "Traceback" not in service.log


async def test_damaged_arguments_are_not_executed(own: Own, tmp_path: Path) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        await caller.http.post(f"/agents/{agent}/pause")
        bad = await caller.submit(agent, "echo", args=["what was asked for"])
        good = await caller.submit(agent, "echo", args=["after it"])
        service.stop()
        change(service.database, "UPDATE turns SET args = ? WHERE id = ?", b'["what was not asked for"]', bad["id"])
        service.start()
        await caller.http.post(f"/agents/{agent}/resume")
        assert (await caller.ended(good))["output"] == "after it"
        answer = await caller.http.get(f"/turns/{bad['id']}")
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:pygents:problem:damaged")
        assert answer.json()["turn_id"] == bad["id"]
        ends = [event for event in await caller.of_turn(bad) if event["type"] == "turn.error"]
        assert ends[0]["data"]["error"]["type"] == "damaged"


async def test_a_damaged_event_ends_streams_and_pages_where_it_stands(own: Own) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("count")
        await caller.do(agent, "count", args=[50])
        events = await caller.events(agent)
        service.stop()
        change(service.database, "UPDATE events SET attempt = 2 WHERE seq = 30 AND type = 'turn.value'")
        service.start()
        for _ in range(3):
            async with following(f"{service.url}/agents/{agent}/stream") as follower:
                assert await follower.to_end() == events[:29]
                assert json.loads(follower.frames[-1].data) == {"reason": "unavailable"}
                assert (follower.parser.retry or 0) >= 2000
        async with following(f"{service.url}/agents/{agent}/stream", cursor=30) as follower:
            assert await follower.until(events[-1]["seq"]) == events[30:]
        page = (await caller.http.get(f"/agents/{agent}/events")).json()
        assert (page["items"], page["next"]) == (events[:29], 29)
        answer = await caller.http.get(f"/agents/{agent}/events", params={"after": 29})
        assert (answer.status_code, answer.json()["seq"]) == (500, 30)
        assert service.log.count("Event 30 of agent") == 1 + service.log.count("damaged: Event 30")


def doctor(database: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(COMMAND), "doctor", "--full", str(database)], capture_output=True, text=True, timeout=60, check=False
    )


async def test_doctor(own: Own) -> None:
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("count")
        await caller.do(agent, "count", args=[50])
    refused = doctor(service.database)
    assert (refused.returncode, "Another server" in refused.stderr) == (75, True)
    service.kill()
    whole = doctor(service.database)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "Everything is as it was written" in whole.stdout
    change(service.database, "UPDATE events SET attempt = 2 WHERE seq = 30 AND type = 'turn.value'")
    damaged = doctor(service.database)
    assert damaged.returncode == 1
    assert "Event 30 of agent" in damaged.stdout


async def test_one_damaged_agent_is_passed_over_by_lists_and_by_restored(own: Own) -> None:
    service = own()
    async with calling(service.url) as caller:
        bad, good = await caller.make_agent("echo"), await caller.make_agent("echo")
        service.stop()
        change(service.database, "UPDATE agents SET epoch = epoch + 1 WHERE name = ?", bad)
        said = subprocess.run(  # noqa: ASYNC221 (it is short)
            [str(COMMAND), "restored", str(service.database)], capture_output=True, text=True, timeout=60, check=True
        )
        assert said.stderr == ""
        assert said.stdout.splitlines()[1] == f"These agents are damaged and left as they are: {bad}."
        service.start()
        names = [agent["name"] for agent in (await caller.http.get("/agents")).json()["items"]]
        assert good in names
        assert bad not in names
        assert (await caller.http.get(f"/agents/{bad}")).json()["type"] == "urn:pygents:problem:damaged"
        assert (await caller.do(good, "echo", args=[1]))["status"] == "completed"


@pytest.mark.slow
async def test_a_start_after_a_kill_with_a_large_log_is_quick(own: Own) -> None:
    """The log is checked before it is used."""
    service = own()
    async with calling(service.url) as caller:
        agents = [await caller.make_agent("count") for _ in range(4)]
        turns = [await caller.submit(agent, "count", args=[20_000]) for agent in agents]
        for turn in turns:
            await caller.ended(turn)
    service.signal(signal.SIGKILL)
    service.wait(5)
    size = service.database.with_name("pygents.db-wal").stat().st_size
    began = time.monotonic()
    service.start()
    print(f"{time.monotonic() - began:.1f} s with {size / 2**20:.0f} MiB of log")
    assert time.monotonic() - began < 5
