"""Values of one agent to many streams, against raw ASGI sends of the same bytes; memory of a stream that is idle."""

import asyncio
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from . import peers
from .client import Stream, connect, open_stream, request
from .harness import Burst, Dose, Sample, Server, Table, rotate, service, serving, uvicorn

VALUE = b"event: turn.value"
TARGET = "/agents/a0/stream?after=latest"
TURNS = "/agents/a0/turns"
BURST_DELIVERIES = 40_000
PACED_PER_SECOND = 4_000
PACED_ROUNDS = 3
WARM = 5
"""Streams that are opened before memory is looked at: the first ones cause imports."""
TIMEOUT = 60.0

SERVICE, RAW, SSE_STARLETTE = "service", "raw ASGI", "sse-starlette"


class Audience:
    """``number`` streams of one server; ``heard`` waits for values to have reached all of them."""

    def __init__(self, server: Server, number: int) -> None:
        self.server, self.number = server, number
        self._streams: list[Stream] = []
        self._missing = 0
        self._heard: asyncio.Future[None] | None = None

    async def gather(self) -> float:
        """Open the streams; the bytes of the server's memory that each one took."""
        warm = min(WARM, self.number - 1)
        await self._open(warm)
        before = self.server.rss()
        await self._open(self.number - warm)
        return (self.server.rss() - before) / (self.number - warm)

    async def heard(self, values: int, asked: bytes) -> float:
        """Send ``asked``, and return the seconds until each stream has had ``values`` more of them."""
        self._missing = values * self.number
        self._heard = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        connection = await connect(self.server.port, lambda *_: None)
        connection.send(asked)
        try:
            await asyncio.wait_for(self._heard, TIMEOUT)
        finally:
            connection.close()
        return time.perf_counter() - start

    def close(self) -> None:
        for stream in self._streams:
            stream.close()

    async def _open(self, number: int) -> None:
        for _ in range(number):
            self._streams.append(await open_stream(self.server.port, TARGET, VALUE, self._count))

    def _count(self, values: int) -> None:
        self._missing -= values
        if not self._missing and self._heard is not None:
            self._heard.set_result(None)


class Plan(NamedTuple):
    """How many values, and the seconds between two of them."""

    number: int
    interval: float


async def measure(dose: Dose, folder: Path) -> list[Table]:
    return [table for streams in dose.streams for table in await _measure(dose, folder, streams)]


async def _measure(dose: Dose, folder: Path, streams: int) -> list[Table]:
    """In a burst the service may put many values into one write; paced, each value is a commit of its own."""
    scale = min(1.0, dose.seconds)
    burst = Plan(max(int(BURST_DELIVERIES * scale / streams), 2), 0.0)
    paced = Plan(max(int(PACED_PER_SECOND * 2 * dose.seconds / streams), 2), streams / PACED_PER_SECOND)
    notes: list[str] = []
    with ExitStack() as up:
        audiences = {name: Audience(server, streams) for name, server in _servers(up, dose, folder, notes).items()}
        memory: dict[str, list[Sample]] = {
            name: [{"KB per stream": await audience.gather() / 1024}] for name, audience in audiences.items()
        }
        tables = []
        for title, plan, rounds in (
            ("back to back", burst, dose.rounds),
            (f"{PACED_PER_SECOND} deliveries/s offered", paced, min(dose.rounds, PACED_ROUNDS)),
        ):
            bursts: dict[str, Burst] = {
                name: partial(_burst, audience, plan, name) for name, audience in audiences.items()
            }
            rows = await rotate(bursts, rounds)
            tables.append(Table(f"fan-out: {plan.number} values to {streams} streams, {title}", RAW, rows, notes=notes))
        for audience in audiences.values():
            audience.close()
    kept = Table(f"memory of an idle stream, of {streams}", RAW, memory)
    _expect(tables[0], tables[1], kept)
    return [*tables, kept]


def _servers(up: ExitStack, dose: Dose, folder: Path, notes: list[str]) -> dict[str, Server]:
    command, env = service(folder, f"fanout-{time.time_ns()}")
    servers = {
        SERVICE: up.enter_context(serving(command, folder, env)),
        RAW: up.enter_context(serving(uvicorn("raw_stream"), folder)),
    }
    extra = peers.sse_starlette(install=not dose.small)
    if extra is None:
        notes.append("sse-starlette: skipped, not installed")
    else:
        servers[SSE_STARLETTE] = up.enter_context(serving(uvicorn("sse_starlette_stream"), folder, extra))
    return servers


def _expect(burst: Table, paced: Table, kept: Table) -> None:
    burst.expect("deliveries/s x raw ASGI", SERVICE, "per s", RAW, least=0.5)
    burst.expect("deliveries/s x sse-starlette", SERVICE, "per s", SSE_STARLETTE, least=3.0)
    paced.expect("CPU of a delivery x raw ASGI", SERVICE, "CPU µs", RAW, most=2.0)
    paced.expect("CPU of a delivery x sse-starlette", SERVICE, "CPU µs", SSE_STARLETTE, most=1 / 3)
    kept.bound("KB per idle stream", SERVICE, "KB per stream", 12.0)


async def _burst(audience: Audience, plan: Plan, name: str) -> Sample:
    before = audience.server.cpu()
    seconds = await audience.heard(plan.number, _asked(plan, name))
    deliveries = plan.number * audience.number
    return {"per s": deliveries / seconds, "CPU µs": (audience.server.cpu() - before) / deliveries * 1e6}


def _asked(plan: Plan, name: str) -> bytes:
    """The service takes the plan as a turn, the others as a query."""
    if name == SERVICE:
        return request("POST", TURNS, {"tool": "feed", "kwargs": {"count": plan.number, "interval": plan.interval}})
    return request("POST", f"{TURNS}?count={plan.number}&interval={plan.interval}")
