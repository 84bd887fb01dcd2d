"""What tests share: waiting for a condition instead of for time, and free ports."""

import asyncio
import inspect
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, overload

T = TypeVar("T")

# Fast at first, because most conditions hold at once; slower later, so that waiting does not keep the machine busy.
FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.05


@overload
async def eventually(condition: Callable[[], Awaitable[T]], *, timeout: float = ...) -> T: ...
@overload
async def eventually(condition: Callable[[], T], *, timeout: float = ...) -> T: ...
async def eventually(condition: Callable[[], object], *, timeout: float = 20.0) -> object:
    """Return the first true value of ``condition``, plain or async; fail the test if none comes in ``timeout`` seconds.

    Exceptions of ``condition`` are not swallowed: something that may fail at first has to say so by returning false.
    """
    for pause in _pauses(timeout):
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        await asyncio.sleep(pause)
    raise _never(condition, timeout)


def eventually_sync(condition: Callable[[], T], *, timeout: float = 20.0) -> T:
    """Do the same as ``eventually`` from a test that has no event loop."""
    for pause in _pauses(timeout):
        if value := condition():
            return value
        time.sleep(pause)
    raise _never(condition, timeout)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now; prefer port 0 where the server can tell its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pauses(timeout: float) -> Iterator[float]:
    """Yield growing pauses in seconds until ``timeout`` has passed, then one more: the last look is at the end."""
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while time.monotonic() < deadline:
        yield pause
        pause = min(pause * 1.5, LONGEST_PAUSE)
    yield 0.0


def _never(condition: Callable[[], object], timeout: float) -> AssertionError:
    code = getattr(condition, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code else repr(condition)
    return AssertionError(f"no true value within {timeout} s: {where}")
