"""From starting the process to its first answer, and its memory then, against a bare FastAPI application."""

import time
from functools import partial
from pathlib import Path

from .harness import Burst, Dose, Sample, Table, rotate, service, serving, uvicorn

BARE, SERVICE = "bare FastAPI app", "service"


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """The service starts on an empty store each time: what it does then includes making the file."""
    bursts: dict[str, Burst] = {BARE: partial(_bare, folder), SERVICE: partial(_service, folder)}
    table = Table("start: process to first answer; idle memory", BARE, await rotate(bursts, dose.rounds))
    table.expect("cold start x bare FastAPI app", SERVICE, "start s", BARE, most=1.2)
    table.bound("MB of an idle service", SERVICE, "idle MB", 60.0)
    return [table]


async def _bare(folder: Path) -> Sample:
    return _start(uvicorn("echo"), folder, {})


async def _service(folder: Path) -> Sample:
    command, env = service(folder, f"startup-{time.time_ns()}")
    return _start(command, folder, env)


def _start(command: list[str], folder: Path, env: dict[str, str]) -> Sample:
    with serving(command, folder, env) as server:
        return {"start s": server.started, "idle MB": server.rss() / 1024 / 1024}
