"""What is served to be fuzzed: tools that take whatever JSON there is, and end at once."""

from collections.abc import AsyncIterator
from typing import Any

from pygents_core import Agent, tool


@tool()
async def greet(*args: Any, **kwargs: Any) -> Any:
    return {"args": args, "kwargs": kwargs}


@tool()
async def several(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
    for each in (*args, *kwargs.items()):
        yield each


@tool()
async def failing(*args: Any, **kwargs: Any) -> None:
    raise ValueError(f"{args} {kwargs}")


Agent("code", "Of the code.", [greet, several, failing])
