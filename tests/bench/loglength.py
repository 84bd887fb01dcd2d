"""What a submit to an agent and a resume of its stream cost, for logs of ever more events in one large store."""

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pygents_app.clock import new_id
from pygents_app.commands import Append, Claim, CreateAgent, Enqueue, Finish, Starter
from pygents_app.model import Definition, Outcome, TurnSpec, TurnStatus
from pygents_app.ports import Store
from pygents_app.store.opening import open_store

from .client import Answer, arrival, ask, connect, request
from .harness import Burst, Dose, Sample, Server, Table, percentile, rotate, service, serving
from .submit import BODY

TITLE = "cost against log length"
LENGTHS, TOTAL = (0, 1_000, 10_000, 100_000), 1_000_000
FEW, SMALL_TOTAL = (0, 1_000), 2_000
SUBMITS = 200
RESUMES, RESUMED = 20, 100
PER_TURN = 1_000
"""Events of one turn: queued, started, completed, and else values."""
OTHERS_LENGTH = 100_000


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """One connection; the submits wait in the mailbox. Each round has agents of its own of the shorter lengths."""
    lengths, total = (FEW, SMALL_TOTAL) if dose.small else (LENGTHS, TOTAL)
    await _fill(folder / "loglength.db", list(_logs(lengths, total, dose.rounds)))
    command, env = service(folder, "loglength")
    with serving(command, folder, {**env, "PYGENTS_RETENTION_EVENTS": str(TOTAL)}) as server:
        bursts: dict[str, Burst] = {
            f"{each:,}": partial(_burst, server, each, iter(range(dose.rounds))) for each in lengths
        }
        rows = await rotate(bursts, dose.rounds)
    table = Table(f"{TITLE} of one agent, in a store of {total:,} events", "0", rows)
    longest = f"{lengths[-1]:,}"
    table.expect(f"submit at {longest} events x at 0", longest, "submit µs", "0", most=1.1)
    table.expect(f"resume at {longest} events x at 0", longest, "resume ms", "0", most=1.25)
    return [table]


def _agent(length: int, number: int) -> str:
    """A log of 10,000 events and more hardly grows by what is measured, so one is enough."""
    return f"log-{length}-{number if length < 10_000 else 0}"


def _logs(lengths: tuple[int, ...], total: int, rounds: int) -> Iterator[tuple[str, int]]:
    """The agents with their lengths, and others that fill the store up to ``total`` events."""
    ours = {_agent(length, number): length for length in lengths for number in range(rounds)}
    yield from ours.items()
    left = total - sum(ours.values())
    for number, start in enumerate(range(0, left, OTHERS_LENGTH)):
        yield f"other-{number}", min(OTHERS_LENGTH, left - start)


async def _burst(server: Server, length: int, numbers: Iterator[int]) -> Sample:
    agent = f"/agents/{_agent(length, next(numbers))}"
    await ask(server.port, "POST", f"{agent}/pause")
    before = server.cpu()
    submits = await _submits(server, agent)
    spent = server.cpu() - before
    latest = (await ask(server.port, "GET", agent))["latest"]
    resumes = [await _resume(server, agent, latest) for _ in range(RESUMES)]
    return {
        "submit µs": percentile(submits, 50) * 1e6,
        "CPU µs": spent / SUBMITS * 1e6,
        "resume ms": percentile(resumes, 50) * 1e3,
    }


async def _submits(server: Server, agent: str) -> list[float]:
    """Seconds of each of the submits, one after the other."""
    asked, times = request("POST", f"{agent}/turns", BODY), list[float]()
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    connection = await connect(server.port, lambda _, answer: _count(answer))

    def _count(answer: Answer) -> None:
        times.append(time.perf_counter() - connection.sent_at)
        if answer.status != 202:
            ended.set_exception(RuntimeError(f"status {answer.status}: {answer.body[:500]!r}"))
        elif len(times) < SUBMITS:
            connection.send(asked)
        else:
            ended.set_result(None)

    connection.send(asked)
    try:
        await ended
    finally:
        connection.close()
    return times


async def _resume(server: Server, agent: str, latest: int) -> float:
    """Seconds until the last events of the log have come."""
    return await arrival(server.port, f"{agent}/stream?after={latest - RESUMED}", b"event: ", RESUMED)


# --- the store -------------------------------------------------------------------------------------------------------


async def _fill(path: Path, logs: list[tuple[str, int]]) -> None:
    store = open_store(f"sqlite:///{path}", durability="relaxed")
    try:
        for agent, length in logs:
            await store.execute(CreateAgent(Definition(agent, tools=("greet",))))
            for start in range(0, length, PER_TURN):
                await _work(store, agent, min(PER_TURN, length - start))
    finally:
        await store.close()


async def _work(store: Store, agent: str, events: int) -> None:
    """A turn that leaves so many events (at least three) in the log."""
    spec = TurnSpec(new_id(), agent, "greet", kwargs=b'{"name":"World"}')
    await store.execute(Enqueue(agent, (spec,), 1_000))
    begun = (await store.execute(Claim(agent, Starter("bench", frozenset({"greet"}))))).begun
    assert begun is not None
    values = tuple(b'{"value":%d}' % number for number in range(events - 3))
    await store.execute(Append(agent, spec.id, begun.fence, values))
    await store.execute(Finish(agent, spec.id, begun.fence, Outcome(TurnStatus.COMPLETED, output=b'"done"')))
