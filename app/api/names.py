"""Names in paths: what cannot be a name is not found, whatever it is (``..``, NUL, CR LF, broken UTF-8)."""

import re

from ..errors import AgentNotFound, TurnNotFound
from ..model import NAME_PATTERN

TURN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def agent_name(name: str) -> str:
    """The name, if it can be an agent's; raises AgentNotFound."""
    if not NAME_PATTERN.fullmatch(name):
        raise no_agent(name)
    return name


def turn_id(text: str) -> str:
    """The id, if it can be a turn's; raises TurnNotFound."""
    if not TURN_ID.fullmatch(text):
        raise no_turn(text)
    return text


def no_agent(name: str) -> AgentNotFound:
    return AgentNotFound(f"There is no agent named {name[:100]!r}. GET /agents lists those that exist.")


def no_turn(text: str) -> TurnNotFound:
    return TurnNotFound(f"There is no turn {text[:100]!r} here.")
