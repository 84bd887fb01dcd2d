"""Waiting for a turn's end, in one place: for ``?wait=`` and for ``Prefer: wait``."""

import asyncio
from contextlib import AbstractContextManager

from ..errors import TurnNotFound, Unauthorized
from ..model import PlacedTurn
from ..streaming.endings import Ending
from ..streaming.leaving import wait_or_leave
from .connection import Waiter
from .names import no_turn
from .services import Services

LOOK_SECONDS = 2.0
"""How often it is asked whether the key of a client that waits is valid."""

Listening = AbstractContextManager[Ending]


class Gone(Exception):
    """The client went away while it was to wait."""


async def read_turn(its: Services, turn_id: str, agent: str | None) -> PlacedTurn:
    """Raises TurnNotFound."""
    placed = await its.store.get_turn(turn_id, agent)
    if placed is None:
        raise no_turn(turn_id)
    return placed


async def ended(its: Services, turn_id: str, agent: str | None, *, seconds: float, client: Waiter) -> PlacedTurn:
    """The turn when it has ended or ``seconds`` are over. Raises TurnNotFound, Unauthorized when the client's key is
    void, and Gone if the client goes away.

    Listens first, then reads: no end falls in between.
    """
    with its.hub.ending(turn_id) as ending:
        placed = await read_turn(its, turn_id, agent)
        if placed.turn.ended:
            return placed
        return await _end(its, placed, ending, seconds, client)


async def ended_after(
    its: Services, accepted: PlacedTurn, listening: Listening, *, seconds: float, client: Waiter
) -> PlacedTurn:
    """The same for a turn that was accepted just now, and whose end was listened for since before: no need to read."""
    with listening as ending:
        return await _end(its, accepted, ending, seconds, client)


async def _end(its: Services, placed: PlacedTurn, ending: Ending, seconds: float, client: Waiter) -> PlacedTurn:
    """What was heard is the turn as it was committed. Else it is read: it ended before, or has not yet."""
    await _wait(its, ending, seconds, client)
    heard = ending.result() if ending.done() and not ending.cancelled() else None
    if heard is not None:
        return PlacedTurn(heard)
    try:
        return await read_turn(its, placed.turn.id, placed.turn.spec.agent)
    except TurnNotFound:  # its agent was deleted
        return placed


async def _wait(its: Services, ending: Ending, seconds: float, client: Waiter) -> None:
    """As long as the client's key is valid: it ends a wait as it ends a stream."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not ending.done() and (left := until - loop.time()) > 0:
        if await wait_or_leave(ending, client, min(left, LOOK_SECONDS)):
            raise Gone
        if not ending.done() and its.sessions.by_holder(client.holder) is None:
            raise Unauthorized("The key is not valid any more.", headers={"WWW-Authenticate": "Bearer"})
