"""``pygents dev``: a reload is a shutdown and a start, between which clients wait and nothing accepted is lost."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.caller import Caller, calling
from tests.follower import following
from tests.helpers import eventually
from tests.history import check_log
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

CODE = """
import asyncio
from pathlib import Path
from pygents_core import Agent, Retry, tool

@tool()
async def version() -> int:
    return VERSION

@tool(retry=Retry(2))
async def gated(gate: str) -> int:
    while not Path(gate).exists():
        await asyncio.sleep(0.01)
    return VERSION

Agent("a", "A.", [version, gated])
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "mine.py"
    path.parent.mkdir()
    write(path, 1)
    return path


@pytest.fixture
def service(code: Path, tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, code, "--drain", "0.2", cwd=code.parent, verb="dev") as service:
        yield service


def write(code: Path, version: int) -> None:
    code.write_text(CODE + f"\nVERSION = {version}\n")


def break_(code: Path) -> None:
    code.write_text("def broken(:\n")


def set_hops(code: Path, most: int) -> None:
    (code.parent / "pygents.toml").write_text(f"max_hops = {most}\n")


def is_gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def children(service: Service) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()]


async def version(caller: Caller) -> object:
    return (await caller.do("a", "version"))["output"]


async def test_nothing_is_lost(service: Service, code: Path, tmp_path: Path) -> None:
    (child,) = children(service)
    async with calling(service.url, across_restarts=True) as caller:
        running = await caller.submit("a", "gated", args=[str(tmp_path / "gate")])
        waiting = await caller.submit("a", "version")
        await caller.becomes(running, "running")
        async with following(f"{service.url}/agents/a/stream") as follower:
            await follower.until((await caller.agent("a"))["latest"])
            write(code, 2)
            await follower.to_end()
            assert follower.frames[-1].data == '{"reason":"draining"}'
        await eventually(lambda: is_gone(child))
        (tmp_path / "gate").touch()
        # From here on the next process answers: nobody is refused meanwhile.
        for turn in (running, waiting):
            await caller.becomes(turn, "completed")
            assert (await caller.turn(turn))["output"] == 2
        assert (await caller.turn(running))["attempt"] == 2
        check_log(await caller.events("a"))


async def test_clients_wait_while_the_code_cannot_be_imported(service: Service, code: Path) -> None:
    async with calling(service.url) as caller:
        assert await version(caller) == 1
        break_(code)
        await eventually(lambda: "it starts again when the code changes" in service.log)
        assert "SyntaxError" in service.log
        asked = asyncio.create_task(version(caller))
        write(code, 3)
        assert await asked == 3


async def test_settings_are_code_too(service: Service, code: Path) -> None:
    async with calling(service.url, across_restarts=True) as caller:
        set_hops(code, 7)

        async def is_seven() -> bool:
            return bool((await caller.http.get("/limits")).json()["chain_hops"] == 7)

        await eventually(is_seven)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_both(service: Service, number: int) -> None:
    (child,) = children(service)
    service.signal(number)
    await eventually(lambda: not service.running)
    assert service.wait(0) == 128 + signal.SIGTERM
    assert is_gone(child)


async def test_a_second_signal_ends_both_at_once(code: Path, tmp_path: Path) -> None:
    with serving(tmp_path, code, "--drain", "600", cwd=code.parent, verb="dev") as service:
        (child,) = children(service)
        async with calling(service.url) as caller:
            running = await caller.submit("a", "gated", args=["never"])
            await caller.becomes(running, "running")
            service.signal(signal.SIGTERM)

            async def is_draining() -> bool:
                return (await caller.http.get("/readyz")).status_code == 503

            await eventually(is_draining)
        service.signal(signal.SIGTERM)
        await eventually(lambda: not service.running)
        assert is_gone(child)


async def test_the_child_does_not_outlive_its_parent(service: Service) -> None:
    (child,) = children(service)
    service.kill()
    await eventually(lambda: is_gone(child))
