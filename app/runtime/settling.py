"""Waiting for an answer that must be heard, although whoever waits may be told to stop."""

import asyncio
from typing import Any


async def settled(future: "asyncio.Future[Any]") -> asyncio.CancelledError | None:
    """Wait until it is done, whoever cancels that; the last such cancellation, None if there was none.

    A plain ``await`` would cancel the future, too, or drop what it says if both come in one round of the loop.
    """
    cancelled = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
