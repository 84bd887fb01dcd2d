"""Agents whose tools send more of themselves."""

from pygents_core import Turn, current_agent, tool


@tool()
async def bounce(to: str) -> None:
    """Send the ball back, for ever."""
    await current_agent().send_turn(to, Turn("bounce", kwargs={"to": current_agent().name}))


@tool()
async def bomb(ways: dict[str, list[str]], times: int) -> None:
    """Send so many of itself to everybody that the agent has a way to."""
    for to in ways[current_agent().name] * times:
        await current_agent().send_turn(to, Turn("bomb", kwargs={"ways": ways, "times": times}))
