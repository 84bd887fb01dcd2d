"""Run a coroutine by hand up to where it has to wait, and only then make a task of it.

A send to a client that keeps up never waits, so fan-out to thousands of streams needs no task and no loop turn each.
"""

import asyncio
import types
from collections.abc import Awaitable, Generator
from typing import Any


def drive(awaitable: Awaitable[None]) -> "asyncio.Task[None] | None":
    """Start ``awaitable`` now. None if it came to its end; else the task in which it goes on.

    Raises what the awaitable raises before it first waits. It runs outside of any task until then, so it must not
    need ``asyncio.current_task()`` there.
    """
    steps = awaitable.__await__()
    try:
        waits_for = steps.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_go_on(steps, waits_for))


async def _go_on(steps: Generator[Any, Any, None], waits_for: Any) -> None:
    await _rest(steps, waits_for)


@types.coroutine
def _rest(steps: Generator[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Give the task the future that was yielded already, then hand everything through (PEP 380, without its start)."""
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(sent)
    except StopIteration:
        return
