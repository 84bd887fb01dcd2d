"""Noticing that a client goes away while it is to wait for something."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .endings import Ending

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""ASGI's."""


async def wait_or_leave(ending: Ending, receive: Receive, seconds: float) -> bool:
    """Wait for ``ending``, at most so many seconds; True if the client went away before both."""
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((ending, leaving), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return leaving.done() and not ending.done()
    finally:
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
