"""The stacks are written only while the interpreter is held: they are looked at without holding it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import eventually_sync

START = """
import signal, sys, threading, time
from pygents_app.runtime.standstill import HELD_SECONDS, Standstill

def burn(seconds: float) -> None:
    began = time.process_time()
    while time.process_time() - began < seconds:
        sum(range(1000))

standstill = Standstill()
"""
BUSY = """
standstill.start()
threads = [threading.Thread(target=burn, args=(HELD_SECONDS * 1.5,)) for _ in range(4)]
for thread in threads:
    thread.start()
burn(HELD_SECONDS * 1.5)
"""
STOPPED = """
standstill.start()
standstill.stop()
burn(HELD_SECONDS * 1.5)
"""
STOPPED_AND_ANOTHER = """
another = Standstill()
standstill.start()
another.start()
standstill.stop()
burn(HELD_SECONDS * 1.5)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("code", [BUSY, STOPPED, STOPPED_AND_ANOTHER], ids=["busy", "stopped", "another one goes on"])
def test_nothing_is_written_while_threads_run(code: str) -> None:
    ended = run(code)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_nor_after_the_process_was_suspended(tmp_path: Path) -> None:
    """Whatever the clock says when it goes on: its threads run again at the same time as a timer would."""
    began = tmp_path / "began"
    code = f"standstill.start()\nopen({str(began)!r}, 'w').close()\nsys.stdin.read()\nburn(HELD_SECONDS / 2)\n"
    command = [sys.executable, "-c", START + code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        eventually_sync(began.exists)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(3)  # it is the point: longer than the interpreter may be held
        os.kill(process.pid, signal.SIGCONT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")


@pytest.mark.parametrize(
    "before",
    [
        "signal.signal(signal.SIGVTALRM, lambda number, frame: print('mine'))",
        "sys.__stderr__ = None",
        "sys.__stderr__.close()",
    ],
)
def test_where_nothing_can_be_watched(before: str) -> None:
    """The signal is somebody else's, or there is nothing to write to."""
    ended = run(f"{before}\nstandstill.start()\nprint(signal.getitimer(signal.ITIMER_VIRTUAL))\nstandstill.stop()\n")
    assert (ended.returncode, ended.stdout) == (0, "(0.0, 0.0)\n")
