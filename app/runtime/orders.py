"""What a worker is told to do with turns."""

from typing import NamedTuple

from ..model import Begun, Definition, Turn
from .outcomes import Stop


class Assignment(NamedTuple):
    """Execute a turn; ``begun`` is None if it must hold its tool's lock before it may begin."""

    turn: Turn
    definition: Definition
    begun: Begun | None


class StopOrder(NamedTuple):
    turn_id: str
    why: Stop


Order = Assignment | StopOrder
