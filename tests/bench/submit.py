"""Submitting a turn, answered once it is durable, against echoing the same body."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.helpers import eventually

from .client import NO_HEADERS, ask, hammer, request
from .harness import Burst, Dose, Sample, Server, Table, rates, rotate, service, serving, uvicorn

CONNECTIONS = 32
BODY = {
    "tool": "greet",
    "args": [],
    "kwargs": {"name": "World, as seen from the bench"},
    "timeout": 60.0,
    "metadata": {"source": "bench", "request": "0198f7c2-6a50", "user": "u42"},
}
HOLD = {"tool": "hold", "timeout": 86_400}
DRAIN_SECONDS = 60.0
FINENESS, LENGTH = 4, 2
"""Bursts are so many times as short as the dose says, and take so many times as long in all: ratios are looked for."""

THREADS = ("HTTP µs", "committer µs", "worker µs")
"""Of the service; the CPU of each for one submit. It makes the first two first; of the others one works."""

RAW = "raw ASGI"
ECHO, WAITING, RUNNING = "FastAPI echo", "durable, turns wait", "durable, turns run"
RELAXED, MEMORY = "durability relaxed, turns wait", "memory, turns wait"


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """Each connection has an agent of its own. Turns wait behind one that never ends, or run at once (trivial tool)."""
    dose = dose.finer(FINENESS, longer=LENGTH)
    with ExitStack() as up:
        echo = up.enter_context(serving(uvicorn("echo"), folder))
        raw = up.enter_context(serving(uvicorn("raw_echo"), folder))
        bursts: dict[str, Burst] = {ECHO: lambda: burst(echo, dose), RAW: lambda: burst(raw, dose)}
        for name, durability in ((WAITING, "full"), (RELAXED, "relaxed"), (MEMORY, "memory")):
            server = up.enter_context(serving(*_service(folder, name, durability)))
            await hold(server)
            bursts[name] = lambda server=server: burst(server, dose)  # type: ignore[misc]
        running = up.enter_context(serving(*_service(folder, RUNNING, "full")))
        bursts[RUNNING] = lambda: _burst_and_drain(running, dose)
        rows = await rotate(bursts, dose.rounds)
    table = Table(f"submit: POST of a turn, {CONNECTIONS} connections", ECHO, rows)
    table.expect("durable submit, turns wait, x echo", WAITING, "per s", ECHO, least=1.0)
    table.expect("durable submit while trivial tools run, x echo", RUNNING, "per s", ECHO, least=0.75)
    table.expect("full x relaxed", WAITING, "per s", RELAXED, least=0.9)
    return [table]


def _service(folder: Path, name: str, durability: str) -> tuple[list[str], Path, dict[str, str]]:
    command, env = service(folder, "-".join(name.replace(",", "").split()), durability)
    return command, folder, env


async def hold(server: Server, headers: Mapping[str, str] = NO_HEADERS) -> None:
    """Let every agent run a turn that never ends."""
    for number in range(CONNECTIONS):
        await ask(server.port, "POST", f"/agents/a{number}/turns", HOLD, headers)


async def burst(server: Server, dose: Dose, headers: Mapping[str, str] = NO_HEADERS) -> Sample:
    """A connection for each agent. What it costs to open them is not in the figures."""
    requests = [request("POST", f"/agents/a{number}/turns", BODY, headers) for number in range(CONNECTIONS)]
    before: Mapping[int, float] = {}
    start = 0.0

    def begin() -> None:
        nonlocal before, start
        before, start = server.threads(), time.perf_counter()

    times = await hammer(server.port, requests, dose.seconds, begin)
    passed = time.perf_counter() - start
    spent = [now - before.get(thread, 0.0) for thread, now in server.threads().items()]
    of_threads = dict(zip(THREADS, (*spent[:2], max(spent[2:])), strict=True)) if len(spent) >= len(THREADS) else {}
    threads = {name: seconds / len(times) * 1e6 for name, seconds in of_threads.items()}
    return {**rates(times, passed, sum(spent)), **threads, "submits": len(times)}


async def _burst_and_drain(server: Server, dose: Dose) -> Sample:
    """The CPU of a burst includes that of the turns that ran in it: ``ran`` tells their share."""
    sample = await burst(server, dose)
    share = 1 - await _queued(server) / sample["submits"]
    # Or the next contender would share the machine with them.
    await eventually(lambda: _is_idle(server), timeout=DRAIN_SECONDS)
    return {**sample, "ran": share}


async def _is_idle(server: Server) -> bool:
    return not await _queued(server)


async def _queued(server: Server) -> int:
    agents = await ask(server.port, "GET", "/agents")
    return sum(agent["queued"] + (agent["current_turn"] is not None) for agent in agents["items"])
