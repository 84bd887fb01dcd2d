"""The image: made as the Dockerfile says, run as compose does, stopped as an engine would."""

import asyncio
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from tests.caller import calling
from tests.container.dockerfile import parse
from tests.container.image import Builder, Containers, Image, find_python
from tests.helpers import free_port

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(600),  # the first test waits for the image
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap stands in for an engine"),
]

ROOT = Path(__file__).parents[2]
STAGES = parse((ROOT / "Dockerfile").read_text())
VERSION = STAGES[-1].base.removeprefix("python:").removesuffix("-slim")
KEY = "a-key-of-the-tests"
AGENTS = '''
from pygents_core import Agent, tool

@tool
async def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"

Agent("own", "Of the user.", [greet])
'''


@pytest.fixture(scope="module")
def python() -> Path:
    return find_python(VERSION)


@pytest.fixture(scope="module")
def image(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    scratch = tmp_path_factory.mktemp("image")
    yield Builder(ROOT, scratch, python).build(STAGES)
    shutil.rmtree(scratch)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def containers(image: Image, python: Path, port: int, tmp_path: Path) -> Containers:
    """Containers with a key, on a port of this machine instead of one that is published."""
    return Containers(image, tmp_path / "data", python, PYGENTS_PORT=port, PYGENTS_ADMIN_KEY=KEY)


def test_what_is_in_it(containers: Containers) -> None:
    assert containers.run("pygents", "--version").stdout.startswith("pygents 0.")
    assert containers.run("pip", "--version").stdout.startswith("pip ")
    absent = containers.run("python", "-c", "import setuptools")
    assert "ModuleNotFoundError" in absent.stderr


def test_only_the_volume_can_be_written_by_a_user_without_rights(containers: Containers) -> None:
    assert containers.run("id", "-u").stdout == "10001\n"
    assert containers.run("touch", "/data/file").returncode == 0
    for place in ("/", "/code", "/opt/pygents", "/opt/pygents/bin"):
        assert "Read-only file system" in containers.run("touch", f"{place}/file").stderr


def test_without_a_key_it_refuses_to_start(image: Image, python: Path, tmp_path: Path) -> None:
    ended = Containers(image, tmp_path / "data", python).run(*image.command)
    assert ended.returncode == 2
    assert "Set PYGENTS_ADMIN_KEY" in ended.stderr
    assert not list((tmp_path / "data").iterdir())


async def test_stopped_it_drains(image: Image, containers: Containers, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    assert containers.run(*image.health).returncode == 1
    with containers.running(*image.command) as container:
        container.until(lambda: containers.run(*image.health).returncode == 0)
        async with calling(url) as caller:
            assert (await caller.http.get("/agents")).status_code == 401
            caller.http.headers["Authorization"] = f"Bearer {KEY}"
            turn = await caller.submit("counter", "count", kwargs={"to": 8, "delay": 0.3})
            await caller.becomes(turn, "running")
            async with asyncio.timeout(20), aconnect_sse(caller.http, "GET", "/agents/counter/stream") as source:
                seen = []
                async for event in source.aiter_sse():
                    seen.append(event.event)
                    if seen.count("turn.value") == 1 and event.event == "turn.value":
                        container.stop(signal.Signals[image.said["STOPSIGNAL"].text])
                assert seen[-1] == "stream.closing"
                assert "turn.completed" not in seen
            unhealthy = containers.run(*image.health)
            assert (unhealthy.returncode, "draining" in unhealthy.stderr) == (1, True)
            assert (await caller.turn(turn))["status"] == "running"
        assert container.wait(30) == 0
    with containers.running(*image.command) as container:
        container.until(lambda: containers.run(*image.health).returncode == 0)
        async with calling(url) as caller:
            caller.http.headers["Authorization"] = f"Bearer {KEY}"
            assert (await caller.turn(turn))["output"] == list(range(1, 9))


def test_code_of_ones_own(image: Image, containers: Containers, port: int, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "my_agents.py").write_text(AGENTS)
    for given in ("my_agents.py", f"{image.workdir}/my_agents.py"):
        with containers.running(*image.entrypoint, "serve", given, code=code) as container:
            container.until(lambda: containers.run(*image.health).returncode == 0)
            answer = httpx.get(f"http://127.0.0.1:{port}/agents", headers={"X-API-Key": KEY}, trust_env=False)
            assert [agent["name"] for agent in answer.json()["items"]] == ["own"]
        with pytest.raises(httpx.ConnectError):  # nothing is left of it
            httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)


def test_stopped_while_it_starts_it_ends_at_once(image: Image, containers: Containers, tmp_path: Path) -> None:
    """Process 1 does not receive a signal that it does not handle: an engine would wait, and then kill."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "slow.py").write_text("import time\nprint('importing')\ntime.sleep(60)\n")
    with containers.running(*image.entrypoint, "serve", "slow.py", code=code) as container:
        container.until(lambda: "importing" in container.log)
        container.stop(signal.SIGTERM)
        assert container.wait(5) == 128 + signal.SIGTERM
