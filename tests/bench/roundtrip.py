"""From the POST of a turn to its end on the agent's stream, both over HTTP, durable."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from .client import Answer, Connection, Stream, connect, open_stream, request
from .harness import (
    Burst,
    Dose,
    Goal,
    Sample,
    Server,
    Table,
    fdatasync_times,
    percentile,
    rates,
    rotate,
    service,
    serving,
)

BODY = {"tool": "greet", "kwargs": {"name": "World"}}
ENDED, QUEUED = b"event: turn.completed", b"event: turn.queued"
CONNECTIONS = (1, 64)
DISK = "fdatasync of this disk"


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """Each connection has an agent of its own, posts, and posts again once the turn's end has come on its stream."""
    with ExitStack() as up:
        servers = {
            durability: up.enter_context(_serving(folder, durability)) for durability in ("full", "relaxed", "memory")
        }
        tables = [await _measure(servers, dose, folder, number) for number in CONNECTIONS]
    disk = tables[0].figure(DISK, "p50 ms")
    mine = tables[0].figure("full", "p50 ms")
    if disk and mine:
        bound = 3 * disk.median + 2
        tables[0].goals.append(Goal("p50 ms (bound: 3 x fdatasync + 2 ms)", mine.median, bound, at_least=False))
    return tables


def _serving(folder: Path, durability: str) -> AbstractContextManager[Server]:
    command, env = service(folder, f"roundtrip-{durability}", durability)
    return serving(command, folder, env)


async def _measure(servers: dict[str, Server], dose: Dose, folder: Path, connections: int) -> Table:
    agents = [f"/agents/a{number}" for number in range(connections)]
    bursts: dict[str, Burst] = {name: partial(burst, server, dose, agents) for name, server in servers.items()}
    if connections == 1:
        bursts[DISK] = partial(_disk, folder, dose)
    rows = await rotate(bursts, dose.rounds)
    return Table(f"roundtrip: POST to the turn's end on the stream, connections: {connections}", "memory", rows)


async def _disk(folder: Path, dose: Dose) -> Sample:
    times = fdatasync_times(folder, dose.seconds / 4)
    return {"p50 ms": percentile(times, 50) * 1e3, "p99 ms": percentile(times, 99) * 1e3}


async def burst(server: Server, dose: Dose, agents: Sequence[str], event: bytes = ENDED) -> Sample:
    """A connection and a stream for each of the agents, which are given by their addresses."""
    clients = [await Client.open(server.port, agent, event) for agent in agents]
    before, start = server.cpu(), time.perf_counter()
    lists = await asyncio.gather(*(client.run(start + dose.seconds) for client in clients))
    passed, spent = time.perf_counter() - start, server.cpu() - before
    for client in clients:
        client.close()
    return rates([each for one in lists for each in one], passed, spent)


class Client:
    """Posts the next turn when the answer to the last POST and its turn's ``event`` are both here."""

    _stream: Stream
    _connection: Connection

    def __init__(self, agent: str) -> None:
        self._asked = request("POST", f"{agent}/turns", BODY)
        self._times: list[float] = []
        self._missing = 0
        self._deadline = 0.0
        self._done: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, port: int, agent: str, event: bytes = ENDED) -> "Client":
        client = cls(agent)
        client._stream = await open_stream(port, f"{agent}/stream?after=latest", event, client._heard)
        client._connection = await connect(port, client._answered)
        return client

    async def run(self, deadline: float) -> list[float]:
        """The seconds from each POST to the arrival of its turn's event."""
        self._deadline = deadline
        self._post()
        return await self._done

    def close(self) -> None:
        self._stream.close()
        self._connection.close()

    def _heard(self, _count: int) -> None:
        self._times.append(time.perf_counter() - self._connection.sent_at)
        self._arrived()

    def _answered(self, _connection: Connection, answer: Answer) -> None:
        if answer.status == 202:
            self._arrived()
        elif not self._done.done():
            self._done.set_exception(RuntimeError(f"status {answer.status}: {answer.body[:500]!r}"))

    def _post(self) -> None:
        self._missing = 2
        self._connection.send(self._asked)

    def _arrived(self) -> None:
        self._missing -= 1
        if self._missing:
            return
        if time.perf_counter() < self._deadline:
            self._post()
        else:
            self._done.set_result(self._times)
