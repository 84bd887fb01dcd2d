"""A store that has grown large against one that has not: its start, its submits, its resumes, its memory."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

from pygents_app.clock import new_id
from pygents_app.commands import Append, Claim, CreateAgent, Enqueue, Finish, Starter
from pygents_app.model import Definition, Outcome, TurnSpec, TurnStatus
from pygents_app.ports import Store
from pygents_app.store.opening import open_store

from .client import arrival, ask, hammer, request
from .harness import Burst, Dose, Sample, Server, Table, percentile, rotate, service, serving
from .submit import BODY, CONNECTIONS

FRESH, GROWN = "fresh store", "grown store"
VALUES = 96
"""Of one turn: with its begin and end a hundred events less one."""
LOG = 10
"""Turns of an agent that has worked."""
AT_ONCE = 500
RESUMES = 20
BEGUN = 300
START_SECONDS = 5.0


class Size(NamedTuple):
    agents: int
    events: int


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """Both are opened anew in each round. The submits wait in the mailboxes of paused agents."""
    size = Size(1_000, 10_000) if dose.small else Size(100_000, 1_000_000)
    stores = {FRESH: Size(1, 1_000), GROWN: size}
    for name, its in stores.items():
        await _grow(folder / f"{_file(name)}.db", its)
    bursts: dict[str, Burst] = {name: lambda name=name: _burst(folder, name, dose) for name in stores}  # type: ignore[misc]
    table = Table(f"growth: {size.agents:,} agents, {size.events:,} events", FRESH, await rotate(bursts, dose.rounds))
    table.bound("seconds from the start of the process to its first answer", GROWN, "start s", START_SECONDS)
    table.expect("submits x fresh", GROWN, "per s", FRESH, least=0.9)
    table.expect("claim: a submit that begins its turn x fresh", GROWN, "begun ms", FRESH, most=1.1)
    table.expect("CPU of such a turn x fresh", GROWN, "turn CPU µs", FRESH, most=1.1)
    table.expect("resume of 1,000 events x fresh", GROWN, "resume ms", FRESH, most=1.25)
    return [table]


def _file(name: str) -> str:
    return name.replace(" ", "-")


async def _burst(folder: Path, name: str, dose: Dose) -> Sample:
    command, env = service(folder, _file(name))
    with serving(command, folder, env) as server:
        started = server.started
        requests = [await _waiting(server, number) for number in range(CONNECTIONS)]
        times = await hammer(server.port, requests, dose.seconds)
        begun, cpu = await _begin(server)
        resumes = [await _resume(server) for _ in range(RESUMES)]
        return {
            "start s": started,
            "per s": len(times) / dose.seconds,
            "p99 ms": percentile(times, 99) * 1e3,
            "begun ms": percentile(begun, 50) * 1e3,
            "turn CPU µs": cpu * 1e6,
            "resume ms": percentile(resumes, 50) * 1e3,
            "MB": server.rss() / 1024 / 1024,
        }


async def _waiting(server: Server, number: int) -> bytes:
    """A submit to an agent that is paused."""
    await ask(server.port, "POST", "/agents", {"name": f"bench-{number}", "tools": ["greet"]})
    await ask(server.port, "POST", f"/agents/bench-{number}/pause")
    return request("POST", f"/agents/bench-{number}/turns", BODY)


async def _begin(server: Server) -> tuple[list[float], float]:
    """Submit to agents that have nothing to do: each turn is claimed and begun in the transaction that accepts it.

    The seconds of each answer, and those of CPU for each turn, its end included.
    """
    for number in range(CONNECTIONS):
        await ask(server.port, "POST", "/agents", {"name": f"begun-{number}", "tools": ["greet"]})
        await _begin_one(server, number)
    cpu = server.cpu()
    times = [await _begin_one(server, number % CONNECTIONS) for number in range(BEGUN)]
    return times, (server.cpu() - cpu) / BEGUN


async def _begin_one(server: Server, number: int) -> float:
    start = time.perf_counter()
    turn = await ask(server.port, "POST", f"/agents/begun-{number}/turns", BODY)
    seconds = time.perf_counter() - start
    if turn["status"] != "running":
        raise RuntimeError(f"an agent that has nothing to do has not begun {turn}")
    return seconds


async def _resume(server: Server) -> float:
    """Seconds until the whole log of one agent has come."""
    return await arrival(server.port, "/agents/worked-0/stream?after=0", b"event: ", 1 + LOG * (VALUES + 3))


# --- the stores ------------------------------------------------------------------------------------------------------


async def _grow(path: Path, size: Size) -> None:
    """Some of the agents have worked, the others have only been made."""
    store = open_store(f"sqlite:///{path}", durability="relaxed")
    try:
        worked = max(1, size.events // (LOG * (VALUES + 3)))
        names = [f"worked-{number}" for number in range(worked)]
        names += [f"idle-{number}" for number in range(size.agents - worked)]
        for start in range(0, len(names), AT_ONCE):
            agents = names[start : start + AT_ONCE]
            await asyncio.gather(*(store.execute(CreateAgent(Definition(name, tools=("greet",)))) for name in agents))
        for start in range(0, worked, AT_ONCE):
            await asyncio.gather(*(_work(store, name) for name in names[start : min(start + AT_ONCE, worked)]))
    finally:
        await store.close()


async def _work(store: Store, agent: str) -> None:
    starter = Starter("bench", frozenset({"greet"}))
    values = tuple(b'{"value":%d}' % number for number in range(VALUES))
    for _ in range(LOG):
        spec = TurnSpec(new_id(), agent, "greet", kwargs=b'{"name":"World"}')
        await store.execute(Enqueue(agent, (spec,), 1_000))
        begun = (await store.execute(Claim(agent, starter))).begun
        assert begun is not None
        await store.execute(Append(agent, spec.id, begun.fence, values))
        await store.execute(Finish(agent, spec.id, begun.fence, Outcome(TurnStatus.COMPLETED, output=b'"done"')))
