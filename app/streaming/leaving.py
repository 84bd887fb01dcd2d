"""Noticing that a client goes away while it is to wait for something."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from .endings import Ending

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""ASGI's."""

LOOK_SECONDS = 1.0
"""How often a connection is looked at whose end nobody may tell: see ``Client``."""


class Client(Protocol):
    """Who waits. ``receive`` tells of its leaving; not always, if it has sent another request meanwhile."""

    @property
    def receive(self) -> Receive: ...

    @property
    def closed(self) -> bool:
        """Whether its connection is closed."""
        ...


async def wait_or_leave(ending: Ending, client: Client, seconds: float) -> bool:
    """Wait for ``ending``, at most so many seconds; True if the client went away before both."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    leaving = asyncio.ensure_future(_left(client.receive))
    try:
        while not ending.done() and (left := until - loop.time()) > 0:
            await asyncio.wait((ending, leaving), timeout=min(left, LOOK_SECONDS), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done() and (leaving.done() or client.closed):
                return True
        return False
    finally:
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
