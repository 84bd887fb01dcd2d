"""What a line of the log about a turn says of it, where it is not written by the turn's own code."""

from collections.abc import Mapping

from ..logs.about import about
from ..model import Turn


def about_turn(turn: Turn) -> Mapping[str, object]:
    """For ``extra``."""
    asker = turn.spec.asker
    return about(turn.spec.agent, turn.id, turn.attempt, asker.request if asker is not None else None)
