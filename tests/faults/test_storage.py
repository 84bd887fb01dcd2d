"""The file under the service: synced before the answer, held by one process, full, locked by a stranger."""

import asyncio
import re
import resource
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.caller import Caller, calling
from tests.faults.conftest import AGENTS
from tests.follower import following
from tests.helpers import eventually
from tests.history import check_log
from tests.service import START_SECONDS, Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]
TRACE = "fsync,fdatasync,read,recvfrom,recvmsg,write,writev,sendto,sendmsg"
SYNC = re.compile(r"f(?:data)?sync\(\d+<[^>]*pygents\.db-wal>(\)\s*= 0| <unfinished)")
RESUMED = re.compile(r"<\.\.\. f(?:data)?sync resumed>\)\s*= 0")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to see what the kernel was asked")
async def test_a_sync_comes_before_every_202(tmp_path: Path) -> None:
    service, trace = Service(tmp_path, AGENTS), tmp_path / "trace"
    try:
        service.start("strace", "-f", "-y", "-s", "40", "-e", f"trace={TRACE}", "-o", str(trace))
        async with calling(service.url) as caller:
            agent = await caller.make_agent("echo")
            for number in range(10):
                # Delayed, so that nothing but the submit itself is written.
                await caller.submit(agent, "echo", args=[number], delay=1000)
    finally:
        service.end()
    steps = "".join(_steps(trace))
    asked = steps[steps.index("P") :]
    assert asked.count("A") == 10
    assert re.fullmatch(r"(PS+A)+[PS]*", asked), f"P request, S sync, A answer: {asked}"


def _steps(trace: Path) -> Iterator[str]:
    """P for a submit that arrives, S for a sync of the log that has returned, A for a 202 that leaves."""
    syncing: set[str] = set()
    for line in trace.read_text(errors="replace").splitlines():
        thread = line.split(" ", 1)[0]
        if found := SYNC.search(line):
            if "unfinished" in found[1]:
                syncing.add(thread)
            else:
                yield "S"
        elif RESUMED.search(line) and thread in syncing:
            syncing.remove(thread)
            yield "S"
        elif "POST /agents/" in line and "read" in line.replace("recv", "read"):
            yield "P"
        elif "HTTP/1.1 202" in line:
            yield "A"


async def test_a_second_server_on_the_file_refuses(service: Service, caller: Caller, tmp_path: Path) -> None:
    agent = await caller.make_agent("echo")
    second = Service(tmp_path, AGENTS)
    second.database = service.database
    try:
        second.launch()
        assert second.wait(START_SECONDS) == 75
    finally:
        second.end()
    (line,) = second.log.splitlines()
    assert line.startswith("error: Another server")
    assert str(service.pid) in line
    assert (await caller.do(agent, "echo", args=[1]))["status"] == "completed"


@contextmanager
def no_space(service: Service) -> Iterator[None]:
    """No file of the server grows any more, as on a disk that is full."""
    largest = max(path.stat().st_size for path in service.folder.iterdir())
    limits = resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, limits)


async def test_a_full_disk(own: Own, tmp_path: Path) -> None:
    """Submits 507, reading goes on, running turns hold their results; all by itself it goes on once there is space."""
    service, gate = own(), tmp_path / "gate"
    async with calling(service.url) as caller:
        agent, other = await caller.make_agent("gated_count", "echo"), await caller.make_agent("echo")
        running = await caller.submit(agent, "gated_count", args=[str(gate), 3])
        await caller.do(other, "echo", args=["before"])
        events = await caller.events(other)
        accepted = []
        with no_space(service):

            async def is_full() -> bool:
                answer = await caller.post(other, "echo", args=["x" * 200_000])
                assert answer.status_code in (202, 507), answer.text
                accepted.extend([answer.json()["id"]] if answer.status_code == 202 else [])
                return answer.status_code == 507

            await eventually(is_full, timeout=20)
            gate.touch()
            assert (await caller.http.get("/healthz")).status_code == 200
            assert (await caller.events(other))[: len(events)] == events
            async with following(f"{service.url}/agents/{other}/stream") as follower:
                assert (await follower.until(len(events)))[: len(events)] == events
            assert (await caller.turn(running))["status"] == "running"
        began = time.monotonic()
        ended = await caller.ended(running)
        assert (ended["status"], ended["output"]) == ("completed", [1, 2, 3, 4])
        last = await caller.do(other, "echo", args=["after"])
        assert time.monotonic() - began < 10
        for turn_id in accepted:
            assert (await caller.ended(turn_id))["status"] == "completed"
        assert [turn["id"] for turn in await caller.turns(other)][1:] == [*accepted, last["id"]]
        for name in (agent, other):
            check_log(await caller.events(name))


@pytest.mark.slow
async def test_a_stranger_holds_the_file(own: Own) -> None:
    """A submit waits for it, then is refused; meanwhile everything else answers."""
    service = own()
    async with calling(service.url) as caller:
        agent = await caller.make_agent("echo")
        with closing(sqlite3.connect(service.database, isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            posting = asyncio.create_task(caller.post(agent, "echo", key="k", args=[1]))
            slowest = 0.0
            while not posting.done():
                began = time.monotonic()
                assert (await caller.http.get("/healthz")).status_code == 200
                assert (await caller.agent(agent))["name"] == agent
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.05)
            refused = posting.result()
            assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
            assert slowest < 1.0
            stranger.execute("ROLLBACK")
        assert (await caller.do(agent, "echo", args=[1]))["status"] == "completed"
        assert len(await caller.turns(agent)) == 1


async def test_idle_streams_keep_no_snapshot_open(service: Service, caller: Caller) -> None:
    """Or the write-ahead log could not be emptied, and would grow for as long as anybody listens."""
    agent, quiet = await caller.make_agent("count"), await caller.make_agent("echo")
    async with AsyncExitStack() as stack:
        for _ in range(30):
            follower = await stack.enter_async_context(following(f"{service.url}/agents/{quiet}/stream"))
            await follower.until(1)
        for _ in range(3):
            assert (await caller.do(agent, "count", args=[50_000]))["status"] == "completed"
    log, whole = service.database.with_name("pygents.db-wal").stat().st_size, service.database.stat().st_size
    print(f"{log / 2**20:.0f} MiB of log, {whole / 2**20:.0f} MiB of database")
    assert log < 64 * 2**20


async def test_refused_bodies_cost_no_memory(service: Service, caller: Caller) -> None:
    """200 MB, announced or not: the answer comes long before all of it."""
    agent = await caller.make_agent("echo")
    before = service.resident()
    for heading in ("Content-Length: 200000000", "Transfer-Encoding: chunked"):
        head, sent = await asyncio.to_thread(_pour, service, f"/agents/{agent}/turns", heading)
        assert head.startswith(b"HTTP/1.1 413 "), head
        assert sent < 100_000_000
    assert service.peak() - before < 20 * 2**20
    assert (await caller.agent(agent))["latest"] == 1


def _pour(service: Service, path: str, heading: str) -> tuple[bytes, int]:
    """Send a body of 200 MB until the server has had enough; the head of its answer, and how much was sent.

    With a plain socket: what was received before a reset can be read after it.
    """
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{heading}\r\n\r\n"
    part = b"x" * 1_000_000
    chunk = part if "Length" in heading else b"%x\r\n%s\r\n" % (len(part), part)
    sent = 0
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        with suppress(ConnectionError):
            connection.sendall(head.encode())
            while sent < 200_000_000:
                connection.sendall(chunk)
                sent += len(part)
        return connection.recv(13, socket.MSG_WAITALL), sent


async def test_a_half_request_holds_nobody_up(service: Service, caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    open_ = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(50)]
    half = f"POST /agents/{agent}/turns HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{{"
    for _, writer in open_:
        writer.write(half.encode())
    async with httpx.AsyncClient(base_url=service.url, timeout=2, trust_env=False) as http:
        answer = await http.post(f"/agents/{agent}/turns", json={"tool": "echo", "args": [1]})
    assert answer.status_code == 202
    for _, writer in open_:
        writer.transport.abort()
    await caller.ended(answer.json())
    assert len(await caller.turns(agent)) == 1
