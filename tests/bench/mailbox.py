"""A mailbox of very many turns against a short one: filling it, looking into it, cancelling in it, draining it.

The limits on a mailbox and on batches are raised for this only.
"""

import asyncio
import json
import time
from pathlib import Path

from .client import Answer, Connection, ask, connect, hammer, open_stream, request
from .harness import Burst, Dose, Sample, Server, Table, percentile, rotate, service, serving
from .submit import BODY

SHORT, LONG = "short mailbox", "long mailbox"
SINGLE, BATCHES = "single submits", "batches"
BATCH = 1_000
LOOKS = 20
CANCELLED = 50
DRAINED = 1_000
"""Turns whose end is waited for: as many as the short mailbox has."""
ROUNDS = 3
CACHES = 32.0
"""MiB: SQLite may keep 16 of what the writer has touched and 2 of what each of three readers has, and a batch of 1,000
takes some while it is decoded. A mailbox that was held in memory would take more than 100."""
AGENT = {"tools": ["greet"]}
EVERYBODY = 32
"""Connections that send single submits."""


async def measure(dose: Dose, folder: Path) -> list[Table]:
    sizes = {SHORT: DRAINED, LONG: 5_000 if dose.small else 100_000}
    bursts: dict[str, Burst] = {name: lambda name=name: _burst(folder, sizes[name], dose) for name in sizes}  # type: ignore[misc]
    title = f"a mailbox of {sizes[LONG]:,} turns, the short one of {DRAINED:,}"
    table = Table(title, SHORT, await rotate(bursts, min(dose.rounds, ROUNDS)))
    table.expect("turns/s that leave it x short", LONG, "drained per s", SHORT, least=0.9)
    table.expect("a page of it x short", LONG, "page ms", SHORT, most=1.25)
    table.expect("a page of it after cancels x short", LONG, "page after cancels ms", SHORT, most=1.25)
    table.expect("a look at the agent x short", LONG, "agent ms", SHORT, most=1.25)
    table.expect("a cancel in it x short", LONG, "cancel ms", SHORT, most=1.25)
    table.bound("MB of memory that it adds", LONG, "MB more", CACHES)
    return [table, await _batches(dose, folder)]


async def _batches(dose: Dose, folder: Path) -> Table:
    command, env = service(folder, "batches")
    with serving(command, folder, env) as server:
        await _prepare(server, *(f"single-{number}" for number in range(EVERYBODY)), "batch")
        single = [request("POST", f"/agents/single-{number}/turns", BODY) for number in range(EVERYBODY)]
        batch = [request("POST", "/agents/batch/turns/batch", [BODY] * BATCH)]
        bursts: dict[str, Burst] = {
            SINGLE: lambda: _submit(server, single, dose, 1),
            BATCHES: lambda: _submit(server, batch, dose, BATCH),
        }
        rows = await rotate(bursts, dose.rounds)
    title = f"turns in batches of {BATCH:,} on one connection, one by one on {EVERYBODY}"
    return Table(title, SINGLE, rows)


async def _submit(server: Server, requests: list[bytes], dose: Dose, turns: int) -> Sample:
    cpu, start = server.cpu(), time.perf_counter()
    times = await hammer(server.port, requests, dose.seconds)
    number = len(times) * turns
    return {"per s": number / (time.perf_counter() - start), "CPU µs": (server.cpu() - cpu) / number * 1e6}


async def _prepare(server: Server, *names: str) -> None:
    """Agents that are paused."""
    for name in names:
        await ask(server.port, "POST", "/agents", {"name": name, **AGENT})
        await ask(server.port, "POST", f"/agents/{name}/pause")


async def _burst(folder: Path, size: int, dose: Dose) -> Sample:
    command, env = service(folder, f"mailbox-{time.time_ns()}")
    # Each turn has events: with the usual retention some of them would be pruned while the mailbox drains.
    with serving(command, folder, {**env, "PYGENTS_RETENTION_EVENTS": "10000000"}) as server:
        await _prepare(server, "m")
        await _fill(server, DRAINED)  # what is imported and cached with the first ones is not the mailbox's
        before = server.rss()
        await _fill(server, size - DRAINED)
        found = {"MB more": (server.rss() - before) / 1024 / 1024, **await _look(server), **await _cancel(server)}
        found["page after cancels ms"] = (await _pages(server))[0]
        return {**found, "drained per s": await _drain(server), "MB": server.rss() / 1024 / 1024}


async def _fill(server: Server, number: int) -> None:
    for _ in range(number // BATCH):
        await ask(server.port, "POST", "/agents/m/turns/batch", [BODY] * BATCH)


async def _look(server: Server) -> dict[str, float]:
    page, last = await _pages(server)
    agent = await _times(server, "GET", ["/agents/m"] * LOOKS)
    turn = await _times(server, "GET", [f"/agents/m/turns/{last}"] * LOOKS)
    return {"page ms": page, "agent ms": agent, "turn ms": turn}


async def _pages(server: Server) -> tuple[float, str]:
    """Milliseconds of a page of queued turns from the beginning, and the last turn of it."""
    target = "/agents/m/turns?status=queued&limit=1000"
    page = await ask(server.port, "GET", target)
    return await _times(server, "GET", [target] * LOOKS), str(page["items"][-1]["id"])


async def _cancel(server: Server) -> dict[str, float]:
    """Turns from within the mailbox, none that follow each other."""
    page = await ask(server.port, "GET", "/agents/m/turns?status=queued&limit=1000")
    some = [turn["id"] for turn in page["items"][100 : 100 + 2 * CANCELLED : 2]]
    return {"cancel ms": await _times(server, "POST", [f"/agents/m/turns/{id_}/cancel" for id_ in some])}


async def _drain(server: Server) -> float:
    """Turns per second, until so many have ended as a short mailbox has."""
    left, done = DRAINED - CANCELLED - 1, asyncio.Event()

    def count(found: int) -> None:
        nonlocal left
        left -= found
        if left <= 0:
            done.set()

    stream = await open_stream(server.port, "/agents/m/stream?after=latest", b"event: turn.completed", count)
    start = time.perf_counter()
    await ask(server.port, "POST", "/agents/m/resume")
    try:
        await done.wait()
        return (DRAINED - CANCELLED - 1) / (time.perf_counter() - start)
    finally:
        stream.close()


async def _times(server: Server, method: str, targets: list[str]) -> float:
    """The median of the milliseconds that requests take, one after the other on one connection."""
    times: list[float] = []
    answered: asyncio.Future[Answer]

    def hear(_: Connection, answer: Answer) -> None:
        answered.set_result(answer)

    connection = await connect(server.port, hear)
    for target in targets:
        answered = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        connection.send(request(method, target))
        answer = await answered
        times.append(time.perf_counter() - start)
        if answer.status not in (200, 202):
            raise RuntimeError(f"{target}: {answer.status} {json.loads(answer.body)}")
    connection.close()
    return percentile(times, 50) * 1e3
