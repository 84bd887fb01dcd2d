"""What the server of these tests serves: tools that tests steer through files, and tools that misbehave on purpose."""

import asyncio
import logging
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from pygents_core import Agent, AgentHook, Turn, TurnHook, WorkingMemory, current_agent, current_turn, tool
from pygents_core.hooks import Hooks

POLL_SECONDS = 0.005


async def exists(path: str) -> None:
    """Wait for the file; another process makes it, so there is nothing to be woken by."""
    while not os.path.exists(path):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(POLL_SECONDS)


def note(path: str, *words: object) -> None:
    with Path(path).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


@tool()
async def echo(value: Any) -> Any:
    return value


@tool()
async def count(to: int, delay: float = 0.0) -> AsyncIterator[int]:
    for number in range(1, to + 1):
        if delay:
            await asyncio.sleep(delay)
        yield number


@tool()
async def gated(gate: str) -> str:
    """Run until the file is there."""
    await exists(gate)
    return "through"


@tool()
async def gated_count(gate: str, to: int) -> AsyncIterator[int]:
    """Yield, then wait for the file, then yield one more."""
    for number in range(1, to + 1):
        yield number
    await exists(gate)
    yield to + 1


@tool()
async def span(path: str, seconds: float = 0.002) -> None:
    note(path, current_agent().name, current_turn().id, "start", time.monotonic_ns())
    await asyncio.sleep(seconds)
    note(path, current_agent().name, current_turn().id, "end", time.monotonic_ns())


@tool(lock=True)
async def locked_span(path: str, gate: str = "/") -> None:
    note(path, current_agent().name, current_turn().id, "start", time.monotonic_ns())
    await exists(gate)
    await asyncio.sleep(POLL_SECONDS)
    note(path, current_agent().name, current_turn().id, "end", time.monotonic_ns())


@tool(lock=True)
async def locked_failing(how: str) -> None:
    if how == "raise":
        raise ValueError("on purpose")
    await asyncio.Event().wait()


# --- code that does not do what it is told ---------------------------------------------------------------------------


@tool()
async def stubborn(gate: str) -> str:
    """Swallow every cancellation until the file is there."""
    while not os.path.exists(gate):  # noqa: ASYNC240
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(POLL_SECONDS)
    return "late"


@tool()
async def stubborn_count(gate: str) -> AsyncIterator[int]:
    number = 0
    while not os.path.exists(gate):  # noqa: ASYNC240
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(POLL_SECONDS)
        number += 1
        yield number


@tool()
async def stubborn_burst(gate: str, path: str, to: int) -> AsyncIterator[int]:
    """Swallow every cancellation until the file is there; then yield a lot, and tell that the last line was reached."""
    while not os.path.exists(gate):  # noqa: ASYNC240
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(POLL_SECONDS)
    for number in range(to):
        yield number
    note(path, "reached")


@tool(lock=True)
async def locked_stubborn(gate: str) -> str:
    return str(await stubborn(gate))


@tool()
async def swallowing() -> str:
    """Take a cancellation for a result."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return "swallowed"


@tool()
async def blocking(gate: str) -> None:
    """Hold up the loop that runs tools, until the file is there."""
    while not os.path.exists(gate):  # noqa: ASYNC240
        time.sleep(POLL_SECONDS)  # noqa: ASYNC251


@tool()
async def cleaning(path: str) -> AsyncIterator[int]:
    """Tell, in the file, that the cleaning up was done."""
    try:
        yield 1
        await asyncio.Event().wait()
    finally:
        note(path, "cleaned")


@tool()
async def own_timeout() -> None:
    raise TimeoutError("mine")


@tool()
async def another_timeout() -> None:
    """Run a turn that times out."""
    await Turn("gated", kwargs={"gate": "/nowhere/at/all"}, timeout=0.05).returning()


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Custom(BaseException):
    pass


def _raise(error: BaseException) -> NoReturn:
    raise error


def _recurse() -> None:
    _recurse()


def _cycle() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def _deep() -> list[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


HOSTILE: dict[str, Callable[[], Any]] = {
    "SystemExit": lambda: sys.exit(3),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "GeneratorExit": lambda: _raise(GeneratorExit()),
    "CancelledError": lambda: _raise(asyncio.CancelledError()),
    "StopAsyncIteration": lambda: _raise(StopAsyncIteration()),
    "Custom": lambda: _raise(Custom("on purpose")),
    "Unprintable": lambda: _raise(Unprintable()),
    "RecursionError": _recurse,
    "MemoryError": lambda: _raise(MemoryError()),
    "ExceptionGroup": lambda: _raise(ExceptionGroup("several", [ValueError("a")])),
    "surrogates": lambda: _raise(ValueError("\ud800")),
    "long text": lambda: _raise(ValueError("x" * 10_000_000)),
    "NaN": lambda: math.nan,
    "Infinity": lambda: [math.inf],
    "cycle": _cycle,
    "deep": _deep,
    "surrogate": lambda: "\ud800",
    "object": object,
    "unprintable value": Unprintable,
    "bytes": lambda: b"\xff",
    "large": lambda: "x" * 300_000,
}


@tool()
async def hostile(kind: str) -> Any:
    return HOSTILE[kind]()


@tool()
async def hostile_stream(kind: str) -> AsyncIterator[Any]:
    yield "first"
    yield HOSTILE[kind]()


@tool()
async def nothing() -> None:
    pass


@tool()
async def nothings() -> AsyncIterator[None]:
    yield None
    yield None


@tool()
async def yields_turn() -> AsyncIterator[Any]:
    yield Turn("echo", kwargs={"value": 1})


left_behind: set["asyncio.Task[None]"] = set()


async def _exit_later() -> None:
    await asyncio.sleep(0)
    raise SystemExit(3)


@tool()
async def leaves_a_bomb() -> str:
    """Leave a task behind that tries to end the process."""
    left_behind.add(asyncio.get_running_loop().create_task(_exit_later()))
    return "left"


@tool()
async def tasks() -> int:
    """How many tasks there are where tools run."""
    return len(asyncio.all_tasks())


# --- messages and memory ---------------------------------------------------------------------------------------------


@tool()
async def send(to: str, tool_name: str, kwargs: dict[str, Any], times: int = 1, gate: str = "/") -> str:
    """Send, say so by a value of the turn, then wait for the file."""
    for _ in range(times):
        await current_agent().send_turn(to, Turn(tool_name, kwargs=kwargs))
    await exists(gate)
    return "sent"


@tool()
async def send_then_fail(to: str, value: Any) -> None:
    await current_agent().send_turn(to, Turn("echo", kwargs={"value": value}))
    raise ValueError("after the send")


@tool()
async def send_and_wait(to: str, value: Any, gate: str) -> AsyncIterator[str]:
    await current_agent().send_turn(to, Turn("echo", kwargs={"value": value}))
    yield "sent"
    await exists(gate)


@tool()
async def bounce(to: str) -> None:
    """Send the ball back, for ever."""
    await current_agent().send_turn(to, Turn("bounce", kwargs={"to": current_agent().name}))


@tool()
async def says(text: str) -> None:
    """Tell it to the log."""
    logging.getLogger("agents").info("it says %s", text)


@tool()
async def put(value: Any, delay: float | None = None) -> None:
    await current_agent().put(Turn("echo", kwargs={"value": value}), delay=delay)


@tool()
async def returns_turn(tool_name: str, kwargs: dict[str, Any]) -> Turn[Any]:
    return Turn(tool_name, kwargs=kwargs)


@tool()
async def deliver(
    how: str, to: str = "", limit: str = "60", hooked: bool = False, metadata: dict[str, Any] | None = None
) -> Any:
    """Put, send or return a turn with this time limit and metadata, and perhaps with a hook of its own."""
    hooks = {TurnHook.AFTER_RUN: [after_run]} if hooked else None
    timeout = None if limit == "none" else float(limit)
    turn = Turn("echo", kwargs={"value": how}, timeout=timeout, metadata=metadata, hooks=hooks)
    if how == "put":
        await current_agent().put(turn)
    elif how == "send":
        await current_agent().send_turn(to, turn)
    else:
        return turn


async def after_run(turn: Turn[Any]) -> None:
    """Nothing to do."""


async def before_put(agent: Agent, turn: Turn[Any]) -> None:
    if "notes" in turn.metadata:
        note(turn.metadata["notes"], "before", agent.name)
    if "refused" in turn.metadata:
        raise ValueError("not this one")


async def after_put(agent: Agent, turn: Turn[Any]) -> None:
    if "notes" in turn.metadata:
        note(turn.metadata["notes"], "after", agent.name)


@tool()
async def remember(item: Any, memory: WorkingMemory, how: str = "return", gate: str = "/") -> list[Any]:
    memory.append(item)
    if how == "raise":
        raise ValueError("on purpose")
    await exists(gate)
    return memory.items


@tool()
async def remember_and_return(item: Any, tool_name: str, memory: WorkingMemory) -> Turn[Any]:
    memory.append(item)
    return Turn(tool_name, kwargs={"value": item})


Agent("coded", "Made by code", [echo, remember, send, send_and_wait], memory=WorkingMemory(5))
PUT_HOOKS: Hooks = {AgentHook.BEFORE_PUT: [before_put], AgentHook.AFTER_PUT: [after_put]}
Agent("hooked", "Notes what is put", [echo, deliver], hooks=PUT_HOOKS)
