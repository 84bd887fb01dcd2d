"""Lists for callers that may see some agents only: what they may not see is in no page, and in no cursor of one."""

import hmac
import os

from ..auth import Principal
from ..grants import Names, Scope
from ..model import ListedAgent, Page, PlacedTurn, TurnStatus
from ..ports import Store
from .names import no_turn
from .scopes import require

MAX_SCAN = 10_000
"""A page of turns ends early when it has passed over so many of others."""
_SECRET = os.urandom(32)
READ_AT_ONCE = 100
"""Turns at least, however few are asked for: most of them may be others'."""


async def list_agents(store: Store, names: Names, *, prefix: str, after: str | None, limit: int) -> Page:
    """As ``Store.list_agents``, of these names: read range by range, so that nothing else is looked at."""
    if names.everything:
        return await store.list_agents(prefix=prefix, after=after, limit=limit)
    items: list[ListedAgent] = []
    for beginning, only in names.ranges(prefix):
        if only:
            listed = await store.get_agent(beginning) if after is None or beginning > after else None
            items += [listed] if listed is not None else []
        else:
            items += (await store.list_agents(prefix=beginning, after=after, limit=limit + 1 - len(items))).items
        if len(items) > limit:
            return Page(tuple(items[:limit]), items[limit - 1].head.name)
    return Page(tuple(items), None)


async def list_turns(
    store: Store, principal: Principal, *, status: TurnStatus | None, after: str | None, limit: int
) -> Page:
    """As ``Store.list_turns`` of all agents. The cursor of a page that ended early may be another's turn, sealed."""
    if principal.everything:
        return await store.list_turns(after=after, limit=limit, status=status)
    items: list[PlacedTurn] = []
    scanned = 0
    while True:
        page = await store.list_turns(after=after, limit=max(limit, READ_AT_ONCE), status=status)
        for placed in page.items:
            if principal.may(Scope.AGENTS_READ, placed.turn.spec.agent):
                items.append(placed)
                if len(items) == limit:
                    at_end = placed is page.items[-1] and page.next is None
                    return Page(tuple(items), None if at_end else placed.turn.id)
        after, scanned = page.next, scanned + len(page.items)
        if after is None or scanned >= MAX_SCAN:
            return Page(tuple(items), after and _sealed(after))


async def position(store: Store, principal: Principal, after: str) -> str | None:
    """The turn that a cursor names; None for none.

    One that the caller may not look at is none unless the cursor was made here: else it would tell that it exists.
    """
    wanted, _, seal = after.partition(".")
    if seal and not hmac.compare_digest(_sealed(wanted), after):
        return None
    placed = await store.get_turn(wanted, None)
    is_shown = placed is not None and (seal or principal.may(Scope.AGENTS_READ, placed.turn.spec.agent))
    return wanted if is_shown else None


def _sealed(id_: str) -> str:
    """A cursor that nobody else can make. It is for the next request, not for long: it ends with the process."""
    return f"{id_}.{hmac.digest(_SECRET, id_.encode(), 'sha256')[:8].hex()}"


def check_turn(principal: Principal, placed: PlacedTurn) -> None:
    """Raises TurnNotFound for one of an agent that the caller does not see, MissingScope if it may not look at it."""
    if principal.everything:
        return
    if not principal.sees(placed.turn.spec.agent):
        raise no_turn(placed.turn.id)
    require(principal, Scope.AGENTS_READ, placed.turn.spec.agent)
