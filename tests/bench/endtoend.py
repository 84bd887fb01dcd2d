"""From sending a POST to having the result in hand, the way a user of each product gets it, over HTTP on loopback.

- the service: on the agent's stream, which is held open; or as the answer to the POST (``Prefer: wait``)
- llama-agents-server: on the stream of the handler that the POST has named; or as the answer to ``/run``
- arq, Celery: as the answer of a FastAPI application that enqueues, and waits as their users do
- AgentOS, LangGraph's development server: as the answer to the run's POST

The tool, step, node or function of all of them does the same: it puts a name into a greeting.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from .exchange import Exchange, message
from .family import Family
from .harness import Burst, Dose, Sample, Table, rates, rotate, service, serving
from .products import PRODUCTS, Product, Stand, Way, up
from .roundtrip import BODY, Client

CONNECTIONS = (1, 64)
DURABLE, IN_MEMORY, WAITED = "service (SQLite), stream", "service (memory), stream", "service (SQLite), wait"
LLAMA, ARQ = "llama-agents-server (memory), stream", "arq + Redis, wait"
WAIT = {"Prefer": "wait=10"}
FIRST_SECONDS = 30.0
"""Until a product's first result: the processes that work for its server may still be starting."""
NOTES = (
    "arq: worker and waiting side look every 10 ms; Celery: two processes, 64 threads wait; LangGraph: 64 at once",
    "llama-agents-server keeps what has ended, and is slower in later rounds for it, up to a bound",
    "LangGraph's development server begins what an idle one is sent after up to a second",
)
STREAMED: Mapping[str, str] = {DURABLE: "full", IN_MEMORY: "memory"}


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """Every connection sends the next one when it has the result of the last. Products that wait stand still."""
    notes = list(NOTES)
    with ExitStack() as running:
        ours = {name: _ours(running, folder, durability) for name, durability in STREAMED.items()}
        peers = [stand for product in PRODUCTS if (stand := await _stand(running, product, dose, folder, notes))]
        return [await _measure(ours, peers, dose, number, notes) for number in CONNECTIONS]


def _ours(running: ExitStack, folder: Path, durability: str) -> Stand:
    command, env = service(folder, f"endtoend-{durability}", durability)
    server = running.enter_context(serving(command, folder, env))
    return Stand(server.port, Family([server.pid]), {})


async def _stand(running: ExitStack, product: Product, dose: Dose, folder: Path, notes: list[str]) -> Stand | None:
    """A product that has given a result and stands still; None, and a note, if it cannot be had."""
    with ExitStack() as own:
        try:
            stand = own.enter_context(up(product, folder, install=not dose.small))
            async with asyncio.timeout(FIRST_SECONDS):
                for way in stand.ways.values():
                    await _once(stand.port, way)
        except (LookupError, RuntimeError, TimeoutError) as failure:
            notes.append(f"{', '.join(product.ways)}: skipped, {str(failure) or 'it gave no result'}")
            return None
        stand.family.stop()
        running.push(own.pop_all())
        return stand


async def _measure(
    ours: Mapping[str, Stand], peers: list[Stand], dose: Dose, connections: int, notes: list[str]
) -> Table:
    bursts: dict[str, Burst] = {name: partial(_streamed, stand, dose, connections) for name, stand in ours.items()}
    bursts[WAITED] = partial(_waited, ours[DURABLE], dose, connections)
    for stand in peers:
        for name, way in stand.ways.items():
            bursts[name] = partial(_asked, stand, way, dose, connections)
    rows = await rotate(bursts, dose.rounds)
    table = Table(f"end to end: POST to the result, {_plural(connections)}", DURABLE, rows, notes=notes)
    if connections > 1:
        table.expect("results/s on a stream x llama-agents-server (memory)", DURABLE, "per s", LLAMA, least=10.0)
        table.expect("results/s on a stream x arq + Redis, whose POST waits", DURABLE, "per s", ARQ, least=3.0)
    return table


def _plural(connections: int) -> str:
    return f"{connections} connection{'s' if connections > 1 else ''}"


async def _streamed(stand: Stand, dose: Dose, connections: int) -> Sample:
    clients = [await Client.open(stand.port, f"/agents/a{number}") for number in range(connections)]
    try:
        before, start = stand.family.cpu(), time.perf_counter()
        lists = await asyncio.gather(*(client.run(start + dose.seconds) for client in clients))
        return _sample(stand.family, before, start, lists)
    finally:
        for client in clients:
            client.close()


async def _waited(stand: Stand, dose: Dose, connections: int) -> Sample:
    ways = [Way(message("POST", f"/agents/a{number}/turns", json.dumps(BODY), WAIT)) for number in range(connections)]
    return await _burst(stand, ways, dose)


async def _asked(stand: Stand, way: Way, dose: Dose, connections: int) -> Sample:
    with stand.family.awake():
        await _once(stand.port, way)
        return await _burst(stand, [way] * connections, dose)


async def _burst(stand: Stand, ways: list[Way], dose: Dose) -> Sample:
    """A connection for each way."""
    exchanges = [await Exchange.open(stand.port) for _ in ways]
    try:
        before, start = stand.family.cpu(), time.perf_counter()
        each = zip(exchanges, ways, strict=True)
        lists = await asyncio.gather(*(_repeat(exchange, way, start + dose.seconds) for exchange, way in each))
        return _sample(stand.family, before, start, lists)
    finally:
        for exchange in exchanges:
            exchange.close()


async def _repeat(exchange: Exchange, way: Way, deadline: float) -> list[float]:
    """The seconds from each POST to its result."""
    times: list[float] = []
    now = time.perf_counter()
    while now < deadline:
        await way.go(exchange)
        before, now = now, time.perf_counter()
        times.append(now - before)
    return times


async def _once(port: int, way: Way) -> None:
    exchange = await Exchange.open(port)
    try:
        await way.go(exchange)
    finally:
        exchange.close()


def _sample(family: Family, before: float, start: float, lists: list[list[float]]) -> Sample:
    passed, spent = time.perf_counter() - start, family.cpu() - before
    times = [each for one in lists for each in one]
    return {**rates(times, passed, spent), "MB": family.memory() / 1024 / 1024}
