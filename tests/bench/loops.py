"""Threads that share one interpreter: what the interval at which they take turns changes, and what a busy tool does.

The interpreter lets another thread in after its switch interval (``sys.setswitchinterval``), or when a thread waits.
"""

from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from tests.helpers import eventually

from . import roundtrip
from .client import ask, hammer, request
from .harness import Burst, Dose, Sample, Server, Table, percentile, rotate, service, serving
from .submit import BODY, HOLD

INTERVALS = {"1 ms, the service's": 0.001, "5 ms, Python's own": 0.005_001, "0.2 ms": 0.0002, "20 ms": 0.02}
"""Seconds. The service leaves an interval alone that is not Python's own, so that must differ a little."""
BASE = next(iter(INTERVALS))
MANY = 64
HELD, BUSY = "/agents/a0", "/agents/a1"
ROUND_TRIP = ("/agents/a2",)


async def measure(dose: Dose, folder: Path) -> list[Table]:
    with ExitStack() as up:
        servers = {name: up.enter_context(_serving(folder, seconds)) for name, seconds in INTERVALS.items()}
        for server in servers.values():
            await ask(server.port, "POST", f"{HELD}/turns", HOLD)
        bursts: dict[str, Burst] = {name: partial(_burst, server, dose) for name, server in servers.items()}
        rows = await rotate(bursts, min(dose.rounds, 3))
    return [Table("switch interval of the interpreter: round trips, and what a busy tool does", BASE, rows)]


def _serving(folder: Path, seconds: float) -> AbstractContextManager[Server]:
    command, env = service(folder, f"loops-{seconds}")
    return serving(command, folder, {**env, "BENCH_SWITCH_SECONDS": str(seconds)})


async def _burst(server: Server, dose: Dose) -> Sample:
    """One connection and one stream of an agent that is held share nothing with the busy tool but the interpreter."""
    many = await roundtrip.burst(server, dose, [f"/agents/a{number}" for number in range(2, MANY)])
    one = await roundtrip.burst(server, dose, ROUND_TRIP)
    alone = await hammer(server.port, [request("POST", f"{HELD}/turns", BODY)], dose.seconds / 2)
    streamed = await roundtrip.burst(server, dose, [HELD], roundtrip.QUEUED)
    computing = await ask(server.port, "POST", f"{BUSY}/turns", {"tool": "compute", "timeout": 600})
    try:
        beside = await hammer(server.port, [request("POST", f"{HELD}/turns", BODY)], dose.seconds / 2)
        streamed_beside = await roundtrip.burst(server, dose, [HELD], roundtrip.QUEUED)
    finally:
        await ask(server.port, "POST", computing["links"]["cancel"])
        await eventually(lambda: _has_ended(server, computing["links"]["self"]))
    return {
        "round trips per s": many["per s"],
        "round trip p50 ms": one["p50 ms"],
        "submit p50 ms": percentile(alone, 50) * 1e3,
        "submit p99 ms": percentile(alone, 99) * 1e3,
        "p50 ms, busy tool": percentile(beside, 50) * 1e3,
        "p99 ms, busy tool": percentile(beside, 99) * 1e3,
        "stream p50 ms": streamed["p50 ms"],
        "stream p99 ms": streamed["p99 ms"],
        "stream p50 ms, busy tool": streamed_beside["p50 ms"],
        "stream p99 ms, busy tool": streamed_beside["p99 ms"],
    }


async def _has_ended(server: Server, turn: str) -> bool:
    return (await ask(server.port, "GET", turn))["stop_reason"] is not None
