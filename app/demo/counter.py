"""A tool that streams: each value that it yields is an event as soon as it is yielded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import Field

from pygents_core import Agent, tool


@tool()
async def count(
    to: Annotated[int, Field(ge=0, le=100_000)] = 10,
    delay: Annotated[float, Field(ge=0, le=60)] = 0.5,
) -> AsyncIterator[int]:
    """Count from 1 to a number, slowly enough to watch.

    Args:
        to: The last number.
        delay: Seconds between two numbers.
    """
    for number in range(1, to + 1):
        if number > 1:
            await asyncio.sleep(delay)
        yield number


counter = Agent("counter", "Counts while you watch", [count])
