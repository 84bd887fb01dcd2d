"""What an agent costs in memory that was made by the API, has run a turn, and is idle: bytes, and asyncio's tasks."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import eventually

from .client import ask, request, send_all
from .harness import Burst, Dose, Sample, Server, Table, rotate, service, serving

CONNECTIONS = 32
AGENTS = 5_000
"""Of a round: more than the service keeps the heads of (4,096)."""
ROUNDS = 3
"""Until nothing grows that is bounded (caches of the service and of SQLite, what Python keeps for reuse), and then."""
IDLE_SECONDS = 60.0
FILLING, FILLED = "the caches fill", "the caches are full"


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """The first agents fill what is bounded, and cost more than all that come later: both are shown."""
    count, numbers = (100 if dose.small else AGENTS), itertools.count()
    with serving(*_service(folder)) as server:
        await _touch(server, numbers, count // 10)  # what is made once, for whatever agent
        rounds, growth = min(ROUNDS, dose.rounds), _Growth(server)
        filling = [await _burst(server, numbers, count, growth) for _ in range(rounds)]
        bursts: dict[str, Burst] = {FILLED: lambda: _burst(server, numbers, count, growth)}
        rows = {FILLING: filling, **await rotate(bursts, rounds)}
    table = Table(f"memory: {count:,} agents made by the API, one turn each, idle", FILLING, rows)
    table.bound("KB of a touched idle agent", FILLED, "KB an agent", 0.5)
    table.bound("tasks of them all", FILLED, "tasks", 0.0)
    return [table]


def _service(folder: Path) -> tuple[list[str], Path, dict[str, str]]:
    command, env = service(folder, "memory")
    return command, folder, env


class _Growth:
    """From the end of one round to the end of the next: what is freed only after a round is none of its cost."""

    def __init__(self, server: Server) -> None:
        self._server, self._before = server, server.rss()

    def since(self) -> int:
        """Bytes since it was asked last."""
        before, self._before = self._before, self._server.rss()
        return self._before - before


async def _burst(server: Server, numbers: Iterator[int], count: int, growth: _Growth) -> Sample:
    tasks = await _tasks(server)
    await _touch(server, numbers, count)
    more = await _tasks(server) - tasks
    grown = growth.since() / count / 1000
    return {"KB an agent": grown, "tasks": more, "MB": server.rss() / 1024 / 1024}


async def _touch(server: Server, numbers: Iterator[int], count: int) -> None:
    """Make new agents, let each run a turn, and wait until all are idle."""
    names = [f"made-{number}" for number in itertools.islice(numbers, count)]
    made = (request("POST", "/agents", {"name": name, "tools": ["greet"]}) for name in names)
    await send_all(server.port, made, CONNECTIONS)
    turns = (request("POST", f"/agents/{name}/turns", {"tool": "greet", "kwargs": {"name": name}}) for name in names)
    await send_all(server.port, turns, CONNECTIONS)
    await eventually(lambda: _all_ended(server), timeout=IDLE_SECONDS)


async def _all_ended(server: Server) -> bool:
    open_ = [await ask(server.port, "GET", f"/turns?limit=1&status={status}") for status in ("queued", "running")]
    return not any(page["items"] for page in open_)


async def _tasks(server: Server) -> int:
    turn = await ask(server.port, "POST", "/agents/a0/turns", {"tool": "tasks"})
    ended = await ask(server.port, "GET", f"/turns/{turn['id']}?wait=30")
    return int(ended["output"])
