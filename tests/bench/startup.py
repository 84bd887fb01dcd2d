"""From starting the process to its first answer, and its memory then, against a bare FastAPI application."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .harness import Burst, Dose, Sample, Table, rotate, service, serving, uvicorn

BARE, SERVICE = "bare FastAPI app", "service"


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """The service starts on an empty store each time: what it does then includes making the file.

    Both run from bytecode, as they do once they are installed: a first start that is not measured writes it.
    """
    compiled = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    starts: Mapping[str, Callable[[], Sample]] = {
        BARE: lambda: _start(uvicorn("echo"), folder, compiled),
        SERVICE: lambda: _start_service(folder, compiled),
    }
    for start in starts.values():
        start()
    bursts: dict[str, Burst] = {name: _burst(start) for name, start in starts.items()}
    table = Table("start: process to first answer; idle memory", BARE, await rotate(bursts, dose.rounds))
    table.expect("cold start x bare FastAPI app", SERVICE, "start s", BARE, most=1.2)
    table.bound("MB of an idle service", SERVICE, "idle MB", 60.0)
    return [table]


def _burst(start: Callable[[], Sample]) -> Burst:
    async def burst() -> Sample:
        return start()

    return burst


def _start_service(folder: Path, compiled: Mapping[str, str]) -> Sample:
    command, env = service(folder, f"startup-{time.time_ns()}")
    return _start(command, folder, {**env, **compiled})


def _start(command: list[str], folder: Path, env: Mapping[str, str]) -> Sample:
    with serving(command, folder, env) as server:
        return {"start s": server.started, "idle MB": server.rss() / 1024 / 1024}
