"""The events of one agent to many streams, against others that send the same bytes: opening the streams all at once,
memory of one that is idle, values back to back, and values at a pace, with their age when they arrive.

Each contender is started anew in each round, because only new processes tell what memory a stream takes. BENCH_STREAMS
(``1000 5000``) and BENCH_ROUNDS choose other sizes than the dose's.
"""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from . import peers
from .audience import Audience
from .client import request
from .harness import Burst, Dose, Sample, Table, percentile, rotate, service, serving, uvicorn

TURNS = "/agents/a0/turns"
BURST_DELIVERIES = 40_000
PACED_PER_SECOND = 4_000
PACED_SECONDS = 2
LEAST_PACED = 4
MANY = 2_000
"""Streams from which on there are fewer rounds: the slow ones take minutes."""
ROUNDS_OF_MANY = 3
GOALS_FROM = 1_000
"""Streams; with few, what a commit costs is divided among few."""
OTHER_EVENTS = 3
"""Of a turn, beside its values: queued, started, completed."""
SLOWNESS = 4
"""How many times fewer values FastAPI gets back to back, so that a burst of it ends in time."""

SERVICE, RAW, JOINED = "service", "raw ASGI", "raw ASGI, joined"
SSE_STARLETTE, FASTAPI = "sse-starlette", "FastAPI SSE"
STORM, IDLE, BURST, PACED = "storm", "idle", "burst", "paced"

NOTES = (
    "all send the same frames: a turn's queued, started, values and completed; pings are off",
    f"{SERVICE}: each value is durable and in the log before it is sent",
    f"{FASTAPI}: a quarter of the values back to back, so that it ends in time",
    f"{RAW}: one send a frame; {SERVICE} and {JOINED} put what is there into one send",
)


class Plan(NamedTuple):
    """How many values, and the seconds between two of them."""

    number: int
    interval: float

    @property
    def frames(self) -> int:
        return self.number + OTHER_EVENTS


class Contender(NamedTuple):
    """How to start one; ``takes_turns``: it is asked with a turn, the others with a query."""

    command: list[str]
    env: Mapping[str, str]
    takes_turns: bool = False

    def asked(self, plan: Plan) -> bytes:
        if self.takes_turns:
            return request("POST", TURNS, {"tool": "feed", "kwargs": {"count": plan.number, "interval": plan.interval}})
        return request("POST", f"{TURNS}?count={plan.number}&interval={plan.interval}")


async def measure(dose: Dose, folder: Path) -> list[Table]:
    asked = tuple(int(number) for number in os.environ.get("BENCH_STREAMS", "").split())
    return [table for streams in asked or dose.streams for table in await _measure(dose, folder, streams)]


async def _measure(dose: Dose, folder: Path, streams: int) -> list[Table]:
    notes = list(NOTES)
    contenders = _contenders(dose, folder, notes)
    found: dict[str, list[Mapping[str, Sample]]] = {name: [] for name in contenders}
    bursts: dict[str, Burst] = {}
    for name, make in contenders.items():
        plans = {BURST: _burst(dose, streams, SLOWNESS if name == FASTAPI else 1), PACED: _paced(dose, streams)}
        bursts[name] = partial(_round, make, folder, streams, plans, found[name])
    rounds = int(os.environ.get("BENCH_ROUNDS", min(dose.rounds, ROUNDS_OF_MANY) if streams > MANY else dose.rounds))
    await rotate(bursts, rounds)
    titles = {
        STORM: f"{streams} streams opened at once",
        IDLE: f"memory of an idle stream, of {streams}",
        BURST: f"fan-out: {_burst(dose, streams).number} values to {streams} streams, back to back",
        PACED: f"fan-out: {_paced(dose, streams).number} values to {streams} streams, {PACED_PER_SECOND} deliveries/s",
    }
    tables = {
        key: Table(title, RAW, {name: [each[key] for each in samples] for name, samples in found.items()}, notes=notes)
        for key, title in titles.items()
    }
    if streams >= GOALS_FROM:
        _expect(tables)
    return list(tables.values())


def _contenders(dose: Dose, folder: Path, notes: list[str]) -> Mapping[str, Callable[[], Contender]]:
    """In the order of the table; the service with a store of its own each time."""
    others = {
        RAW: Contender(uvicorn("raw_stream"), {}),
        JOINED: Contender(uvicorn("raw_stream", "joined"), {}),
        FASTAPI: Contender(uvicorn("fastapi_stream"), {}),
    }
    extra = peers.sse_starlette(install=not dose.small)
    if extra is None:
        notes.append("sse-starlette: skipped, not installed")
    else:
        others[SSE_STARLETTE] = Contender(uvicorn("sse_starlette_stream"), extra)
    return {SERVICE: partial(_service, folder)} | {name: partial(_same, other) for name, other in others.items()}


def _service(folder: Path) -> Contender:
    command, env = service(folder, f"fanout-{time.time_ns()}")
    return Contender(command, {**env, "PYGENTS_PING": "3600"}, takes_turns=True)


def _same(contender: Contender) -> Contender:
    return contender


def _burst(dose: Dose, streams: int, slowness: int = 1) -> Plan:
    return Plan(max(int(BURST_DELIVERIES * min(1.0, dose.seconds) / streams / slowness), 2), 0.0)


def _paced(dose: Dose, streams: int) -> Plan:
    least = 2 if dose.small else LEAST_PACED
    return Plan(max(int(PACED_PER_SECOND * PACED_SECONDS * dose.seconds / streams), least), streams / PACED_PER_SECOND)


async def _round(
    make: Callable[[], Contender],
    folder: Path,
    streams: int,
    plans: Mapping[str, Plan],
    found: list[Mapping[str, Sample]],
) -> Sample:
    """Add to ``found`` a sample for each table."""
    contender = make()
    with serving(contender.command, folder, contender.env) as server:
        audience = Audience(server, streams)
        try:
            opened = await audience.gather()
            heard = {kind: await _hear(audience, contender, plan, kind) for kind, plan in plans.items()}
            memory: Sample = {"KB per stream": opened.memory / 1024, "MB after": server.rss() / 1024 / 1024}
        finally:
            audience.close()
    storm: Sample = {"seconds": opened.seconds, "CPU µs": opened.cpu * 1e6}
    found.append({STORM: storm, IDLE: memory, **heard})
    return storm


async def _hear(audience: Audience, contender: Contender, plan: Plan, kind: str) -> Sample:
    heard = await audience.heard(plan.frames, contender.asked(plan), dated=kind == PACED)
    deliveries = plan.frames * audience.number
    cost: Sample = {"per s": deliveries / heard.seconds, "CPU µs": heard.cpu / deliveries * 1e6}
    if kind == BURST:
        return cost
    ages = {"p50 ms": percentile(heard.ages, 50) * 1e3, "p99 ms": percentile(heard.ages, 99) * 1e3}
    return {"CPU µs": cost["CPU µs"], **ages}


def _expect(tables: Mapping[str, Table]) -> None:
    storm, idle, burst, paced = (tables[key] for key in (STORM, IDLE, BURST, PACED))
    for other, least in ((RAW, 0.5), (SSE_STARLETTE, 3.0), (FASTAPI, 8.0)):
        burst.expect(f"deliveries/s x {other}", SERVICE, "per s", other, least=least)
        paced.expect(f"CPU of a delivery x {other}", SERVICE, "CPU µs", other, most=1 / least)
    storm.expect("seconds x raw ASGI", SERVICE, "seconds", RAW, most=2.0)
    storm.expect("CPU of an opening x raw ASGI", SERVICE, "CPU µs", RAW, most=2.0)
    idle.bound("KB per idle stream", SERVICE, "KB per stream", 12.0)
