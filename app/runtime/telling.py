"""Hooks that run after a turn's end, because it has put a turn that its tool returned into the mailbox."""

import asyncio
from typing import Any

from pygents_core.agent import Agent
from pygents_core.turn import Turn

_background: set[asyncio.Task[None]] = set()
"""The event loop alone would let them be collected."""


def tell_put(agent: Agent, turn: Turn[Any]) -> None:
    """Let the agent's hooks hear of it, on the running loop. Nobody waits for them."""
    telling = asyncio.get_running_loop().create_task(agent.tell_put(turn))
    _background.add(telling)
    telling.add_done_callback(_background.discard)


def is_telling(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether such a hook runs on that loop."""
    return any(task.get_loop() is loop for task in tuple(_background))
