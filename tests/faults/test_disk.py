# ruff: noqa: ASYNC220, ASYNC221 (short, and nothing else runs here)
"""The disk under the service: full, read-only, failing to sync, and readers that are slow while it is written."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.caller import calling
from tests.faults.conftest import AGENTS
from tests.follower import following
from tests.helpers import eventually
from tests.history import check_log
from tests.service import START_SECONDS, Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]
SIZE = 24 * 2**20

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int fails(int descriptor) {
    char link[64], path[4096];
    const char *flag = getenv("FAILING_SYNC");
    if (!flag || access(flag, F_OK)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 4) return 0;
    path[length] = 0;
    return !strcmp(path + length - 4, "-wal");
}
int fsync(int descriptor) {
    if (fails(descriptor)) { errno = EIO; return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}
int fdatasync(int descriptor) {
    if (fails(descriptor)) { errno = EIO; return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(descriptor);
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc, to make syncs fail")
async def test_a_failed_sync_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows any more what is on the disk; what was acknowledged before is there after the next start."""
    source, shim, flag = tmp_path / "shim.c", tmp_path / "shim.so", tmp_path / "failing"
    source.write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("FAILING_SYNC", str(flag))
    service = Service(tmp_path, AGENTS)
    try:
        service.start()
        async with calling(service.url) as caller:
            agent = await caller.make_agent("echo")
            done = await caller.do(agent, "echo", args=["before"])
            flag.touch()
            with pytest.raises(httpx.TransportError):
                await caller.post(agent, "echo", key="k", args=["not acknowledged"])
            assert service.wait(5) == 1
            assert "fsync failed" in service.log
            flag.unlink()
            service.start()
            assert (await caller.turn(done))["output"] == "before"
            again = await caller.submit(agent, "echo", key="k", args=["not acknowledged"])
            ended = await caller.ended(again)  # if it was stored after all, it had begun
            assert ended["status"] == "completed" or ended["error"]["type"] == "interrupted"
            assert len(await caller.turns(agent)) == 2
            check_log(await caller.events(agent))
    finally:
        service.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_disk_without_space(small_disk: Path) -> None:
    """ENOSPC: submits 507, reads go on, and all by itself it goes on once there is space."""
    service, ballast = Service(small_disk, AGENTS), small_disk / "ballast"
    service._log = small_disk.parent / "server.log"  # it must be able to tell
    service._log.touch()
    try:
        service.start()
        async with calling(service.url) as caller:
            agent = await caller.make_agent("echo")
            await caller.do(agent, "echo", args=["before"])
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 65536)
            accepted = []

            async def is_full() -> bool:
                answer = await caller.post(agent, "echo", args=["x" * 100_000])
                assert answer.status_code in (202, 507), answer.text
                accepted.extend([answer.json()["id"]] if answer.status_code == 202 else [])
                return answer.status_code == 507

            await eventually(is_full, timeout=20)
            assert (await caller.http.get("/healthz")).status_code == 200

            async def is_unready() -> bool:
                return (await caller.http.get("/readyz")).status_code == 503

            await eventually(is_unready)
            assert (await caller.events(agent))[0]["type"] == "agent.created"
            ballast.unlink()
            began = time.monotonic()
            assert (await caller.do(agent, "echo", args=["after"]))["output"] == "after"
            assert time.monotonic() - began < 10
            for turn_id in accepted:
                assert (await caller.ended(turn_id))["status"] == "completed"
            check_log(await caller.events(agent))
    finally:
        service.end()
        print(service.log[-3000:])


async def test_a_read_only_disk_is_refused_at_the_start(small_disk: Path) -> None:
    service = Service(small_disk, AGENTS)
    service._log = small_disk.parent / "server.log"
    service._log.touch()
    service.start()
    service.stop()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = len(service.log)
    try:
        service.launch()
        assert service.wait(START_SECONDS) == 2
    finally:
        service.end()
    (line,) = service.log[before:].splitlines()
    assert line.startswith("error: ")
    assert "Read-only file system" in line


@pytest.mark.slow
async def test_slow_readers_keep_no_log_from_being_emptied(own: Own) -> None:
    """They are far behind, but each reads a page and lets go."""
    service = own()
    log = service.database.with_name("pygents.db-wal")
    largest = 0
    async with calling(service.url) as caller, AsyncExitStack() as stack:
        agents = [await caller.make_agent("count") for _ in range(2)]
        readers = [
            await stack.enter_async_context(following(f"{service.url}/agents/{agent}/stream"))
            for agent in agents
            for _ in range(10)
        ]
        turns = [await caller.submit(agent, "count", args=[60_000]) for agent in agents]
        ending = asyncio.gather(*(caller.ended(turn) for turn in turns))
        while not ending.done():
            for reader in readers:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await reader.take(10)
            largest = max(largest, log.stat().st_size)
            await asyncio.sleep(0.05)
        await ending
        for reader in readers[::10]:
            while int(reader.parser.id) < 60_000:
                await reader.take(65_536)
    print(f"the log had {largest / 2**20:.0f} MiB at most")
    assert largest < 64 * 2**20


async def test_nothing_waits_while_a_stranger_holds_the_file(own: Own) -> None:
    """But the submit itself."""
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        stranger = subprocess.Popen(
            ["python3", "-c", STRANGER, str(service.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with stranger:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == "locked\n"
            posting = asyncio.create_task(caller.post(agent, "echo", args=[1]))
            times: list[float] = []
            while not posting.done():
                began = time.monotonic()
                assert (await caller.http.get("/healthz")).status_code == 200
                times.append(time.monotonic() - began)
                await asyncio.sleep(0.02)
            assert posting.result().status_code == 503
            stranger.kill()
        print(f"{len(times)} answers, the slowest after {max(times) * 1000:.0f} ms")
        assert sorted(times)[len(times) * 9 // 10] < 0.1
        assert (await caller.do(agent, "echo", args=[2]))["output"] == 2


STRANGER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""
