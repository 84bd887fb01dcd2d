"""The agents that the service serves while it is measured."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator

from pygents_app.metrics.counting import Counting
from pygents_core import Agent, tool

AGENTS = 64


@tool()
async def greet(name: str) -> str:
    """Do as little as a tool can."""
    return f"Hello, {name}!"


@tool()
async def hold() -> None:
    """Never end, so that all further turns of the agent wait."""
    await asyncio.Event().wait()


@tool()
async def tasks() -> int:
    """Count the tasks of all event loops of the process."""
    return sum(isinstance(each, asyncio.Task) for each in gc.get_objects())


@tool()
async def feed(count: int, interval: float) -> AsyncIterator[dict[str, object]]:
    """Yield ``count`` values: at once, or one every ``interval`` seconds. Each says when it was made."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for index in range(count):
        if interval:
            await asyncio.sleep(start + (index + 1) * interval - loop.time())
        yield {"text": "a piece of a long answer", "n": index, "at": time.time_ns() // 1000}


@tool()
async def compute() -> None:
    """Keep the interpreter busy until it is cancelled, and give the event loop back every 50 ms."""
    while True:
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            sum(range(1000))
        await asyncio.sleep(0)


if "BENCH_SWITCH_SECONDS" in os.environ:
    sys.setswitchinterval(float(os.environ["BENCH_SWITCH_SECONDS"]))
if "BENCH_UNCOUNTED" in os.environ:  # no setting turns the metrics off: they are kept from hearing what happens
    Counting.listen = Counting.hear = lambda self, source: None  # type: ignore[method-assign,assignment]

agents = [Agent(f"a{index}", "Measured", [greet, hold, feed, tasks, compute]) for index in range(AGENTS)]
