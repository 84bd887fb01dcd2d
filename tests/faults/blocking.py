"""What the server of the tests on blocked loops serves: tools that hold up their loop, and neighbours of theirs."""

import asyncio
import os
import re
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pygents_core import Agent, AgentHook, Turn, WorkingMemory, current_agent, current_turn, loop_local, tool

POLL_SECONDS = 0.005


def wait_for(gate: str) -> None:
    """Hold up the loop until the file is there."""
    while not os.path.exists(gate):
        time.sleep(POLL_SECONDS)


async def exists(gate: str) -> None:
    """Wait for the file as one should."""
    while not os.path.exists(gate):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(POLL_SECONDS)


def note(path: str, *words: object) -> None:
    with Path(path).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


@tool()
async def block(gate: str) -> str:
    wait_for(gate)
    return "came back"


@tool()
async def block_in_a_task(gate: str) -> str:
    """The code that blocks is a task that the tool has started."""

    async def child() -> str:
        wait_for(gate)
        return "came back"

    return await asyncio.create_task(child())


@tool(lock=True)
async def block_locked(gate: str, path: str) -> None:
    note(path, "start", current_turn().id)
    wait_for(gate)
    note(path, "end", current_turn().id)


@tool()
async def quick(value: Any = None) -> Any:
    return value


@tool()
async def remembers(value: Any, memory: WorkingMemory) -> int:
    """The store is asked for its memory before its code is entered."""
    memory.append(value)
    return len(memory)


@tool()
async def where() -> str:
    return threading.current_thread().name


@tool()
async def workers() -> list[str]:
    """The threads on which tools run."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("pygents-worker"))


@tool()
async def patient(gate: str) -> str:
    await exists(gate)
    return "through"


@tool()
async def patient_count(gate: str) -> AsyncIterator[int]:
    """Yield, wait, and yield once more, whatever it is told."""
    yield 1
    with suppress(asyncio.CancelledError):
        await exists(gate)
    yield 2


async def _spend(how: str, seconds: float) -> None:
    if how == "block":
        time.sleep(seconds)  # noqa: ASYNC251 - it is the point
    else:
        await asyncio.sleep(seconds)


@tool()
async def span(path: str, how: str, seconds: float) -> None:
    """Note when its code begins and ends, and whose it is."""
    note(path, current_agent().name, "start")
    try:
        await _spend(how, seconds)
    finally:
        note(path, current_agent().name, "end")


@tool(lock=True)
async def locked_span(path: str, how: str, seconds: float) -> None:
    note(path, "lock", "start")
    try:
        await _spend(how, seconds)
    finally:
        note(path, "lock", "end")


@tool()
async def hold_interpreter(seconds: float) -> int:
    """Match a regular expression that takes longer with every character, until one match takes that long."""
    for length in range(18, 60):
        began = time.monotonic()
        re.match(r"(a|aa)+$", "a" * length + "b")
        if time.monotonic() - began >= seconds:
            return length
    return 0


class Client:
    """Notes that it was closed, and where."""

    def __init__(self) -> None:
        self.thread = threading.current_thread().name

    async def aclose(self) -> None:
        note(os.environ["CLOSED"], self.thread, threading.current_thread().name)


client = loop_local(Client)


@tool()
async def use_client() -> str:
    return client().thread


async def blocking_hook(agent: Agent, turn: Turn[Any]) -> None:
    if "gate" in turn.metadata:
        wait_for(turn.metadata["gate"])


async def plain_hook(agent: Agent, turn: Turn[Any]) -> None:
    """Nothing to do."""


Agent("blocking-guard", "Its guard may block", [quick], hooks={AgentHook.BEFORE_PUT: [blocking_hook]})
Agent("guarded", "Its guard is fast", [quick], hooks={AgentHook.BEFORE_PUT: [plain_hook]})
