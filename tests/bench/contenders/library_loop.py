"""One implementation of "queue turns, run them", driven over stdin: each line ``turns S`` or ``values S`` is answered
with the operations per second of at least S seconds. A plain script, because it also runs on an interpreter that has
only the implementation it measures. Its argument: ``floor`` (a deque), or a package with the library's interface.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from typing import Any

PER_ROUND = 1000
"""Turns in the mailbox at once; values of one turn are ten times as many."""

Round = Callable[[int], Awaitable[None]]


async def greet(name: str) -> str:
    return f"Hello, {name}!"


async def count(to: int) -> AsyncIterator[int]:
    for number in range(to):
        yield number


def floor() -> dict[str, Round]:
    """What any implementation has to do at least: no timeouts, no hooks, no end state."""

    async def turns(number: int) -> None:
        queue = deque[dict[str, Any]]()
        for _ in range(number):
            queue.append({"name": "World"})
        while queue:
            await greet(**queue.popleft())

    async def values(number: int) -> None:
        async for _ in count(number):
            pass

    return {"turns": turns, "values": values}


def library(name: str) -> dict[str, Round]:
    """``pygents_core``, or ``pygents`` as it was: the public interface is the same."""
    package = import_module(name)
    greeting, counting = package.tool()(greet), package.tool()(count)
    agent = package.Agent("measured", "Measured", [greeting, counting])

    async def turns(number: int) -> None:
        for _ in range(number):
            await agent.put(package.Turn(greeting, kwargs={"name": "World"}))
        async for _ in agent.run():
            pass

    async def values(number: int) -> None:
        await agent.put(package.Turn(counting, kwargs={"to": number}))
        async for _ in agent.run():
            pass

    return {"turns": turns, "values": values}


async def measure(operation: Round, number: int, seconds: float) -> float:
    """Operations per second over at least ``seconds``, in whole rounds."""
    done, start = 0, time.perf_counter()
    while True:
        await operation(number)
        done += number
        passed = time.perf_counter() - start
        if passed >= seconds:
            return done / passed


def main(name: str) -> None:
    operations = floor() if name == "floor" else library(name)
    sizes = {"turns": PER_ROUND, "values": 10 * PER_ROUND}
    for line in sys.stdin:
        kind, seconds = line.split()
        print(asyncio.run(measure(operations[kind], sizes[kind], float(seconds))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
