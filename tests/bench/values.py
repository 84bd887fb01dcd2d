"""Values on their way to the log: how many share a transaction, and what one costs.

A tool that yields faster than the store commits has its values gathered; one that yields now and then has each of them
committed at once.
"""

import re
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from .client import ask
from .harness import Burst, Dose, Sample, Server, Table, rotate, service, serving

COMMITS = re.compile(r"^pygents_commit_commands_count (\S+)$", re.MULTILINE)
FAST, SLOW = "at once", "one every 2 ms"
INTERVALS = {FAST: 0.0, SLOW: 0.002}
"""Seconds between two values."""
AGENT = "/agents/a0"


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """One turn after the other, each with as many values as shall take about the length of a burst."""
    numbers = {FAST: 1_000 if dose.small else 50_000, SLOW: int(dose.seconds / INTERVALS[SLOW])}
    command, env = service(folder, "values")
    with serving(command, folder, env) as server:
        bursts: dict[str, Burst] = {name: partial(_burst, server, name, number) for name, number in numbers.items()}
        return [Table("values of a turn, durable", SLOW, await rotate(bursts, dose.rounds))]


async def _burst(server: Server, name: str, number: int) -> Sample:
    kwargs = {"count": number, "interval": INTERVALS[name]}
    commits, spent = _commits(server), server.cpu()
    turn = await ask(server.port, "POST", f"{AGENT}/turns", {"tool": "feed", "kwargs": kwargs})
    while (turn := await ask(server.port, "GET", f"{turn['links']['self']}?wait=60"))["stop_reason"] is None:
        continue
    if turn["values"] != number:
        raise RuntimeError(f"{turn['values']} of {number} values: {turn['error']}")
    spent = server.cpu() - spent
    return {"values per commit": number / (_commits(server) - commits), "CPU µs": spent / number * 1e6}


def _commits(server: Server) -> float:
    """How many transactions the service has committed, as its metrics say."""
    connection = HTTPConnection("127.0.0.1", server.port)
    try:
        connection.request("GET", "/metrics")
        found = COMMITS.search(connection.getresponse().read().decode())
    finally:
        connection.close()
    if found is None:
        raise RuntimeError("the service does not tell how many commits it has made")
    return float(found[1])
