"""Waiting for a turn's end, in one place: for ``?wait=`` and for ``Prefer: wait``."""

from ..errors import TurnNotFound
from ..model import PlacedTurn
from ..streaming.leaving import Client, wait_or_leave
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
    its: Services,
    turn_id: str,
    agent: str | None,
    *,
    seconds: float,
    client: Client,
    accepted: PlacedTurn | None = None,
) -> PlacedTurn:
    """The turn when it has ended or ``seconds`` are over. Raises TurnNotFound, and Gone if the client goes away.

    Registers first, then reads: no end falls in between. ``accepted``: the turn as it was stored just now. Its agent
    may be deleted before it is looked at again; it was accepted all the same.
    """
    with its.hub.ending(turn_id) as ending:
        try:
            placed = await read_turn(its, turn_id, agent)
        except TurnNotFound:
            if accepted is None:
                raise
            return accepted
        if placed.turn.ended:
            return placed
        if await wait_or_leave(ending, client, seconds):
            raise Gone
    try:
        return await read_turn(its, turn_id, agent)
    except TurnNotFound:  # it ended because its agent was deleted
        turn = ending.result() if ending.done() and not ending.cancelled() else None
        return PlacedTurn(turn) if turn is not None else placed
