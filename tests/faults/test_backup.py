# ruff: noqa: ASYNC240 (looking for files is quick)
"""Backups through a running server and of a file, and what clients see when one is restored."""

import asyncio
import json
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.caller import Caller, calling
from tests.follower import following
from tests.history import check_log
from tests.service import COMMAND, START_SECONDS, Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]


async def run(folder: Path, *arguments: object) -> tuple[int, str]:
    """Exit code and what was said."""
    command = [str(COMMAND), *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


async def backed_up(service: Service, target: Path) -> None:
    """The copy has all that anybody has ever said: it is for its owner only."""
    code, said = await run(target.parent, "backup", target, "--url", service.url)
    assert code == 0, said
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def store_of(path: Path) -> str:
    return f"sqlite:///{path}"


async def values(caller: Caller, agent: str) -> list[object]:
    return [event["data"]["value"] for event in await caller.events(agent) if event["type"] == "turn.value"]


async def test_restored_is_as_it_was_and_says_so(own: Own, tmp_path: Path) -> None:
    service, backup = own(), tmp_path / "backup.db"
    async with calling(service.url) as caller:
        agent, quiet = await caller.make_agent("echo"), await caller.make_agent("echo")
        await caller.do(agent, "echo", args=["before"])
        waiting = await caller.submit(agent, "echo", args=["delayed"], delay=3600)
        before = await caller.events(agent)
        await backed_up(service, backup)
        await caller.do(agent, "echo", args=["after"])
        await caller.do(agent, "echo", args=["and later"])
        lost = (await caller.events(agent))[-1]["seq"]
        late = await caller.make_agent("echo")

        assert (await run(tmp_path, "restore", backup, "--store", store_of(service.database), "--force"))[0] == 75
        service.stop()
        code, said = await run(tmp_path, "restore", backup, "--store", store_of(service.database))
        assert (code, "--force" in said) == (2, True)
        code, said = await run(tmp_path, "restore", backup, "--store", store_of(service.database), "--force")
        assert code == 0, said
        assert list(tmp_path.glob("pygents.db.replaced-*"))
        service.start()

        events = await caller.events(agent)
        last = events[-1]
        assert events[:-1] == before
        assert (last["type"], last["data"]) == ("agent.restored", {"after": before[-1]["seq"]})
        assert last["seq"] > 1_600_000_000_000_000
        assert (await caller.events(quiet))[-1]["type"] == "agent.restored"
        assert (await caller.http.get(f"/agents/{late}")).status_code == 404
        assert (await caller.turn(waiting))["status"] == "scheduled"
        await caller.do(agent, "echo", args=["anew"])
        assert await values(caller, agent) == ["before", "anew"]
        await caller.cancel(waiting)
        check_log(await caller.events(agent))
        await check_cursors(service, agent, before[-1]["seq"], lost, await caller.events(agent))
    assert (await run(tmp_path, "doctor", "--full", service.database))[0] == 75
    service.stop()
    code, said = await run(tmp_path, "doctor", "--full", service.database)
    assert code == 0, said


async def check_cursors(service: Service, agent: str, kept: int, lost: int, events: list[dict[str, object]]) -> None:
    """Who has seen no more than the backup has goes on; who has seen more begins anew, and hears of it."""
    url, latest = f"{service.url}/agents/{agent}/stream", events[-1]["seq"]
    assert isinstance(latest, int)
    for cursor in (kept - 1, kept):
        async with following(url, cursor=cursor) as follower:
            assert await follower.until(latest) == events[cursor:]
            assert follower.frames[0].event != "stream.reset"
    for cursor in (kept + 1, lost):
        async with following(url, cursor=cursor) as follower:
            assert await follower.until(latest) == events
            reset = json.loads(follower.frames[0].data)
            assert reset == {"reason": "restored", "cursor": cursor, "earliest": 1, "latest": latest}


async def test_under_load_a_backup_is_of_one_moment(own: Own, tmp_path: Path) -> None:
    service = own()
    async with calling(service.url) as caller:
        agents = [await caller.make_agent("count") for _ in range(3)]
        turns = [await caller.submit(agent, "count", args=[10_000]) for agent in agents]
        backups = [tmp_path / f"backup-{number}.db" for number in range(3)]
        for backup in backups:
            await backed_up(service, backup)
        for turn in turns:
            assert (await caller.ended(turn))["values"] == 10_000
    assert not list(tmp_path.glob("*.copy-*"))
    for backup in backups:
        code, said = await run(tmp_path, "doctor", "--full", backup)
        assert code == 0, said


async def test_of_a_file_and_by_hand(own: Own, tmp_path: Path) -> None:
    service, backup = own(), tmp_path / "backup.db"
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        await caller.do(agent, "echo", args=["before"])
        service.kill()
        code, said = await run(tmp_path, "backup", backup, "--store", store_of(service.database))
        assert code == 0, said
        assert (await run(tmp_path, "backup", backup, "--store", store_of(service.database)))[0] == 2
        service.start()
        await caller.do(agent, "echo", args=["after"])
        service.stop()
        shutil.copy(backup, service.database)
        service.launch()
        assert service.wait(START_SECONDS) == 2
        assert "pygents restored" in service.log.splitlines()[-1]
        code, said = await run(tmp_path, "restored", service.database)
        assert code == 0, said
        service.start()
        assert await values(caller, agent) == ["before"]
        assert (await caller.events(agent))[-1]["type"] == "agent.restored"


async def test_a_damaged_backup_replaces_nothing(own: Own, tmp_path: Path) -> None:
    service, backup = own(), tmp_path / "backup.db"
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        await caller.do(agent, "echo", args=["kept"])
        await backed_up(service, backup)
        service.stop()
        with closing(sqlite3.connect(backup)) as db, db:
            db.execute("UPDATE events SET attempt = 5 WHERE type = 'turn.value'")
        code, said = await run(tmp_path, "restore", backup, "--store", store_of(service.database), "--force")
        assert (code, "damaged" in said) == (2, True)
        service.start()
        assert await values(caller, agent) == ["kept"]


async def test_what_cannot_be(own: Own, tmp_path: Path) -> None:
    service = own()
    async with calling(service.url) as caller:
        answer = await caller.http.post("/backup", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403
        answer = await caller.http.post("/backup")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/vnd.sqlite3")
        assert answer.content.startswith(b"SQLite format 3\0")
        assert int(answer.headers["content-length"]) == len(answer.content)
    for arguments in (
        ("backup", "x.db", "--url", "http://127.0.0.1:1"),
        ("backup", "x.db", "--store", "memory://"),
        ("backup", "x.db", "--store", "sqlite:///missing.db"),
        ("restore", "missing.db"),
        ("restored", "missing.db"),
        ("restored", service.database),
        ("doctor", "--full", "missing.db"),
    ):
        code, said = await run(tmp_path, *arguments)
        assert code == (75 if service.database in arguments else 2), said
        assert said.startswith("error: "), said
        assert len(said.splitlines()) == 1, said
    assert not (tmp_path / "x.db").exists()
