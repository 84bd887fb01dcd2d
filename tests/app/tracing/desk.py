"""What the traced service serves: agents that send to each other, retry, fail, and trace themselves."""

import asyncio
import os

from opentelemetry import trace

from pygents_core import Agent, Retry, Turn, current_turn, tool

tracer = trace.get_tracer("desk")


@tool()
async def look_up(item: str) -> str:
    """Of the agent that is sent to."""
    with tracer.start_as_current_span("database"):
        return item


@tool()
async def ask(item: str) -> str:
    """Send, within a span of its own."""
    with tracer.start_as_current_span("thinking"):
        await agent.send_turn("stock", Turn(look_up, kwargs={"item": item}))
    return item


@tool()
async def hand_on(item: str) -> Turn[str]:
    """Return the next turn."""
    return Turn(ask, kwargs={"item": item})


@tool()
async def stream(item: str):  # type: ignore[no-untyped-def]  # as users write it
    """Yield, with a span between the values."""
    yield item
    with tracer.start_as_current_span("between"):
        await asyncio.sleep(0)
    yield item


@tool(retry=Retry(max_attempts=2, delay=0, jitter=False))
async def second_time(item: str) -> str:
    """Fail once."""
    if current_turn().attempt == 1:
        raise LookupError(f"no {item} yet")
    return item


@tool()
async def fail(item: str) -> None:
    raise LookupError(f"there is no {item}")


@tool()
async def hang(item: str, gate: str) -> None:
    """Until it is cancelled, or out of time."""
    while not os.path.exists(gate):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.005)


agent = Agent("desk", "Asks others.", [ask, hand_on, second_time, fail, hang, stream])
Agent("stock", "Is asked.", [look_up])
