"""Waiting for a turn's end, in one place: for ``?wait=`` and for ``Prefer: wait``."""

import asyncio

from starlette.types import Receive

from ..errors import TurnNotFound
from ..model import PlacedTurn
from ..streaming.endings import Ending
from ..streaming.leaving import wait_or_leave
from .names import no_turn
from .services import Services


class Gone(Exception):
    """The client went away while it was to wait."""


async def read_turn(its: Services, turn_id: str, agent: str | None) -> PlacedTurn:
    """Raises TurnNotFound."""
    placed = await its.store.get_turn(turn_id, agent)
    if placed is None:
        raise no_turn(turn_id)
    return placed


async def ended(
    its: Services, turn_id: str, agent: str | None, seconds: float, receive: Receive | None = None
) -> PlacedTurn:
    """The turn when it has ended or ``seconds`` are over. Raises TurnNotFound, and Gone if ``receive`` says so.

    Registers first, then reads: no end falls in between.
    """
    with its.hub.ending(turn_id) as ending:
        placed = await read_turn(its, turn_id, agent)
        if placed.turn.ended:
            return placed
        await _first(ending, receive, seconds)
    try:
        return await read_turn(its, turn_id, agent)
    except TurnNotFound:  # it ended because its agent was deleted
        turn = ending.result() if ending.done() and not ending.cancelled() else None
        if turn is None:
            raise
        return PlacedTurn(turn)


async def _first(ending: Ending, receive: Receive | None, seconds: float) -> None:
    if receive is None:
        await asyncio.wait([ending], timeout=seconds)
    elif await wait_or_leave(ending, receive, seconds):
        raise Gone
