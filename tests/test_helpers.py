"""The helpers themselves: waiting gives up, leaks are noticed, and CI_STRICT turns a skip into a failure."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import leaks
from tests.helpers import eventually, eventually_sync, free_port

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parent.parent

# One test for each thing that may be left behind or left out; only `clean` may pass.
OFFENDERS = """
import asyncio, os, threading
import pytest
from tests import leaks

leaks.SETTLE_SECONDS = 0.05
release = threading.Event()
kept = []

def test_thread():
    threading.Thread(target=release.wait, daemon=True).start()

def test_descriptor():
    kept.append(open(os.devnull))

@pytest.mark.anyio
async def test_task():
    kept.append(asyncio.create_task(asyncio.Event().wait()))

@pytest.mark.keeps_open("the handle is closed by the process's end")
def test_excused_clean():
    kept.append(open(os.devnull))

def test_skip():
    pytest.skip("no browser")

@pytest.mark.skip
def test_marked_skip():
    pass

@pytest.mark.xfail
def test_expected_clean():
    assert False

@pytest.mark.anyio
async def test_clean():
    await asyncio.create_task(asyncio.sleep(0))
"""


@pytest.fixture
def brief_settling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(leaks, "SETTLE_SECONDS", 0.05)
        yield


async def test_eventually_returns_the_first_true_value() -> None:
    answers = iter([0, None, 7])
    assert await eventually(lambda: next(answers)) == 7


async def test_eventually_awaits_an_async_condition() -> None:
    answers = iter([False, True])

    async def condition() -> bool:
        await asyncio.sleep(0)
        return next(answers)

    assert await eventually(condition)


async def test_eventually_gives_up_and_says_where() -> None:
    with pytest.raises(AssertionError, match=r"no true value within 0.01 s: .*test_helpers.py:"):
        await eventually(lambda: False, timeout=0.01)


def test_eventually_sync() -> None:
    answers = iter(["", "there"])
    assert eventually_sync(lambda: next(answers)) == "there"
    with pytest.raises(AssertionError, match="no true value"):
        eventually_sync(list[int], timeout=0.01)


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1] > 0


@pytest.mark.usefixtures("brief_settling")
def test_a_thread_left_behind_is_named() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="forgotten")
    with pytest.raises(AssertionError, match="left behind: thread forgotten"), leaks.nothing_left():
        thread.start()
    release.set()
    thread.join()


@pytest.mark.usefixtures("brief_settling")
@pytest.mark.skipif(not os.path.isdir(leaks.DESCRIPTORS), reason="needs /proc")
def test_a_descriptor_left_behind_is_named() -> None:
    with pytest.raises(AssertionError, match=r"left behind: descriptor .* on socket"), leaks.nothing_left():
        left = socket.socket()
    left.close()


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    with leaks.nothing_left():
        threading.Timer(0.02, lambda: None).start()


@pytest.mark.usefixtures("brief_settling")
async def test_a_task_left_behind_is_named() -> None:
    before = asyncio.all_tasks()
    forgotten = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    assert "task forgotten" in " ".join(await leaks.tasks_beyond(before))
    forgotten.cancel()
    assert await leaks.tasks_beyond(before) == []


@pytest.mark.parametrize(
    ("strict", "tally"),
    [(False, "5 passed, 2 skipped, 1 xfailed, 3 errors"), (True, "1 failed, 5 passed, 1 xfailed, 4 errors")],
)
def test_the_rules_for_every_test_are_in_force(tmp_path: Path, strict: bool, tally: str) -> None:
    (tmp_path / "test_offenders.py").write_text(OFFENDERS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-o", "addopts="]
    environment = {key: value for key, value in os.environ.items() if key != "CI_STRICT"}
    environment |= {"CI_STRICT": "1"} if strict else {}
    run = subprocess.run(
        [*command, "-W", "ignore", "-q", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert tally in run.stdout
