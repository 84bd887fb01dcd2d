"""Lists for callers that may see some agents only: what they may not see is in no page, and in no cursor of one."""

from ..auth import Principal
from ..grants import Names, Scope
from ..model import ListedAgent, Page, PlacedTurn, TurnStatus
from ..ports import Store
from .names import no_turn
from .scopes import require

MAX_SCAN = 10_000
"""A page of turns ends early when it has passed over so many of others."""
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
    """As ``Store.list_turns`` of all agents. The cursor of a page that ended early may be the id of another's turn."""
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
            return Page(tuple(items), after)


def check_turn(principal: Principal, placed: PlacedTurn) -> None:
    """Raises TurnNotFound for one of an agent that the caller does not see, MissingScope if it may not look at it."""
    if principal.everything:
        return
    if not principal.sees(placed.turn.spec.agent):
        raise no_turn(placed.turn.id)
    require(principal, Scope.AGENTS_READ, placed.turn.spec.agent)
