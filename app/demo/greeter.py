"""The smallest agent: one tool, one value."""

from pygents_core import Agent, tool


@tool()
async def greet(name: str) -> str:
    """Greet somebody.

    Args:
        name: Whom to greet.
    """
    return f"Hello, {name}!"


greeter = Agent("greeter", "Greets people", [greet])
