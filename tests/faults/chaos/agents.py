"""What the servers of these campaigns serve: tools that write down, outside the service, what they really did.

Each line of the trace is one ``write`` to a file opened for appending: whole, in order, and there after kill -9.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from pygents_core import Retry, Turn, WorkingMemory, current_agent, current_turn, tool

_TRACE = os.open(os.environ["CHAOS_TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
AGAIN = Retry(6, delay=0.01, factor=1, jitter=False)


def trace(what: str, *words: object) -> None:
    """``what agent turn attempt pid …``"""
    turn = current_turn()
    words = (what, current_agent().name, turn.id, turn.attempt, os.getpid(), *words)
    os.write(_TRACE, (" ".join(map(str, words)) + "\n").encode())


@contextmanager
def traced() -> Iterator[None]:
    trace("start")
    try:
        yield
    finally:
        trace("stop")


@tool()
async def quick(value: object = None) -> object:
    with traced():
        trace("value", 0)
        return value


@tool()
async def slow(seconds: float) -> str:
    with traced():
        await asyncio.sleep(seconds)
        trace("value", 0)
        return "slept"


@tool()
async def stream(to: int, pause: float = 0.0) -> AsyncIterator[int]:
    with traced():
        for number in range(to):
            if pause:
                await asyncio.sleep(pause)
            trace("value", number)
            yield number


@tool(retry=AGAIN)
async def lasting(to: int, pause: float) -> AsyncIterator[int]:
    """Run again whenever it is interrupted."""
    with traced():
        for number in range(to):
            await asyncio.sleep(pause)
            trace("value", number)
            yield number


@tool(retry=AGAIN)
async def flaky(failures: int) -> AsyncIterator[int]:
    with traced():
        trace("value", 0)
        yield 0
        if (current_turn().attempt or 0) <= failures:
            raise ConnectionError("not yet")
        trace("value", 1)
        yield 1


@tool(lock=True)
async def locked(seconds: float) -> str:
    with traced():
        await asyncio.sleep(seconds)
        trace("value", 0)
        return "unlocked"


@tool(lock=True, retry=AGAIN)
async def locked_lasting(seconds: float) -> str:
    with traced():
        await asyncio.sleep(seconds)
        trace("value", 0)
        return "unlocked"


@tool()
async def failing() -> None:
    with traced():
        raise ValueError("on purpose")


@tool()
async def stubborn(seconds: float) -> str:
    """Swallow every cancellation for that long."""
    with traced():
        until = monotonic() + seconds
        while monotonic() < until:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        trace("value", 0)
        return "late"


# --- turns that make turns: each names its maker and its number ------------------------------------------------------


def _mark(number: int) -> dict[str, object]:
    return {"maker": current_turn().id, "number": number}


async def _send(to: str, number: int, tool_name: str, **kwargs: object) -> None:
    await current_agent().send_turn(to, Turn(tool_name, kwargs=kwargs, metadata=_mark(number)))
    trace("sent", number, to)


@tool()
async def relay(way: list[str]) -> None:
    """Pass the rest of the way on to its first agent."""
    with traced():
        if way:
            await _send(way[0], 0, "relay", way=way[1:])
        trace("value", 0)


@tool()
async def fan(to: list[str], each: int) -> None:
    with traced():
        for number in range(each * len(to)):
            await _send(to[number % len(to)], number, "quick", value=number)
        trace("value", 0)


@tool(retry=AGAIN)
async def insistent(to: str, times: int, failures: int) -> None:
    """Send, fail and send again: each message is to arrive once all the same."""
    with traced():
        for number in range(times):
            await _send(to, number, "quick", value=number)
            await asyncio.sleep(0.002)
        if (current_turn().attempt or 0) <= failures:
            raise ConnectionError("not yet")
        trace("value", 0)


@tool()
async def loop(times: int) -> "Turn[object] | None":
    """Return itself, until it has run so often."""
    with traced():
        if times <= 1:
            trace("value", 0)
            return None
        return Turn("loop", kwargs={"times": times - 1}, metadata=_mark(0))


@tool()
async def remember(memory: WorkingMemory) -> int:
    with traced():
        memory.append(current_turn().id)
        await asyncio.sleep(0)
        trace("value", 0)
        return len(memory.items)
