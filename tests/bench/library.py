"""The library alone, in memory: turns and streamed values per second, against a deque and against the seed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from . import peers
from .harness import CONTENDERS, ROOT, Burst, Dose, Sample, Table, rotate

FLOOR, LIBRARY, SEED = "deque and await", "pygents_core", "pygents 0.2.1"
SCRIPT = {FLOOR: "floor", LIBRARY: "pygents_core", SEED: "pygents"}

Process = subprocess.Popen[str]


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """All on one interpreter: the seed's if it is there, because the seed needs a newer one than the service."""
    seed = peers.seed_python(install=not dose.small)
    names = [FLOOR, LIBRARY] if seed is None else [FLOOR, LIBRARY, SEED]
    python = str(seed or sys.executable)
    with ExitStack() as up:
        processes = {name: up.enter_context(_process(python, SCRIPT[name], folder)) for name in names}
        tables = [await _measure(processes, dose, kind) for kind in ("turns", "values")]
    turns, values = tables
    turns.expect("turns/s x pygents 0.2.1", LIBRARY, "per s", SEED, least=3.0)
    values.expect("values/s x pygents 0.2.1", LIBRARY, "per s", SEED, least=10.0)
    for table in tables:
        table.notes.append(f"interpreter: {_version(python)}")
        if seed is None:
            table.notes.append("pygents 0.2.1: skipped, it and a Python 3.12 could not be had")
    return tables


async def _measure(processes: dict[str, Process], dose: Dose, kind: str) -> Table:
    bursts: dict[str, Burst] = {name: partial(_burst, each, kind, dose) for name, each in processes.items()}
    return Table(f"library: {kind}", FLOOR, await rotate(bursts, dose.rounds))


async def _burst(process: Process, kind: str, dose: Dose) -> Sample:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    process.stdin.write(f"{kind} {dose.seconds / 2}\n")
    process.stdin.flush()
    rate = float(process.stdout.readline())
    return {"per s": rate, "µs": 1e6 / rate}


@contextmanager
def _process(python: str, name: str, folder: Path) -> Iterator[Process]:
    command = [python, str(CONTENDERS / "library_loop.py"), name]
    env = {"PYTHONPATH": str(ROOT)}
    with (
        (folder / f"library-{name}.log").open("w") as log,
        subprocess.Popen(
            command, cwd=folder, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _version(python: str) -> str:
    return subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.strip()
