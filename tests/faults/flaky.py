"""Agents whose tools fail so and so often before they are through, in the ways that a policy can name."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from pygents_core import Agent, Retry, Turn, current_agent, current_turn, tool

QUICK = Retry(4, delay=0.05, factor=1, jitter=False)


def count(path: str) -> int:
    """One more line in the file; how many there are. It outlives the process."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()} {current_turn().id} {current_turn().attempt}\n")
    return len(Path(path).read_text().splitlines())


@tool()
async def echo(value: object) -> object:
    return value


@tool(retry=QUICK)
async def flaky(path: str, failures: int) -> AsyncIterator[int]:
    """Yield the number of the attempt, twice; fail in between as often as is asked for."""
    number = count(path)
    yield number
    if number <= failures:
        raise ConnectionError("not yet")
    yield number


@tool(retry=Retry(3, delay=0.05, on=("timeout",)))
async def slow(path: str, failures: int) -> int:
    number = count(path)
    if number <= failures:
        await asyncio.Event().wait()
    return number


@tool(retry=Retry(10, delay=0))
async def deadly(path: str, deaths: int, how: str = "exit") -> int:
    """Take the whole process along, as often as is asked for."""
    number = count(path)
    if number <= deaths:
        if how == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGSEGV)
        await asyncio.Event().wait()
    return number


@tool(retry=Retry(3, delay=0.05))
async def patient(path: str, gate: str) -> int:
    number = count(path)
    while not os.path.exists(gate):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.005)
    return number


@tool(retry=Retry(1))
async def stubborn(path: str, gate: str) -> int:
    """Go on, however often it is told to stop."""
    number = count(path)
    while not os.path.exists(gate):  # noqa: ASYNC240
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.005)
    return number


@tool(retry=Retry(1))
async def blocking(path: str, gate: str) -> int:
    number = count(path)
    while not os.path.exists(gate):  # noqa: ASYNC240
        time.sleep(0.005)  # noqa: ASYNC251 - it is the point
    return number


@tool(retry=QUICK)
async def sends_and_fails(path: str, to: str, failures: int) -> None:
    number = count(path)
    await current_agent().send_turn(to, Turn("echo", kwargs={"value": "once"}))
    await current_agent().send_turn(to, Turn("echo", kwargs={"value": "later"}), delay=0.01)
    if number <= failures:
        raise ConnectionError("after it was sent")


@tool(lock=True, retry=QUICK)
async def locked(path: str, failures: int) -> int:
    number = count(path)
    if number <= failures:
        raise ConnectionError("not yet")
    return number


Agent("one", "Fails for a while", [echo, flaky, slow, deadly, patient, stubborn, blocking, sends_and_fails, locked])
