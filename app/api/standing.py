"""How agents and turns stand right now: what their rows say, together with what this process knows."""

from typing import NamedTuple

from ..draft import is_gone
from ..model import Head, ListedAgent, PlacedTurn, TurnStatus
from . import representations
from .names import no_agent
from .queries import AgentStatus
from .services import Services


class Shown(NamedTuple):
    """An agent with what its row does not say."""

    listed: ListedAgent
    status: AgentStatus
    missing_tools: tuple[str, ...]

    def json(self) -> bytes:
        return representations.agent_json(self.listed, self.status, self.missing_tools)


async def agent(services: Services, name: str) -> ListedAgent:
    """Raises AgentNotFound."""
    listed = await services.store.get_agent(name)
    if listed is None:
        raise no_agent(name)
    return listed


async def show(services: Services, listed: ListedAgent) -> Shown:
    tools = services.catalogue.tools()
    missing = tuple(tool for tool in listed.head.definition.tools if tool not in tools)
    return Shown(listed, await _status(services, listed.head, frozenset(missing)), missing)


async def turn_json(
    services: Services, placed: PlacedTurn, *, whole: bool = True, bare: bool = False, head: Head | None = None
) -> bytes:
    """A turn with what it waits for. Only the turn at the head of a mailbox needs a look at its agent."""
    if head is None and placed.place == 1:
        head = await _head(services, placed.turn.spec.agent)
    return turn_beside(services, placed, head, whole=whole, bare=bare)


def turn_beside(
    services: Services, placed: PlacedTurn, head: Head | None, *, whole: bool = True, bare: bool = False
) -> bytes:
    """The same where nothing has to be read: with the agent's row, or without one if there is none (any more)."""
    is_next = placed.turn.status is TurnStatus.QUEUED and placed.place in (None, 1)
    waits = _waits_for(services, placed, head) if is_next else representations.waiting_for(placed)
    return representations.turn_json(placed, waits, whole=whole, bare=bare)


def _waits_for(services: Services, placed: PlacedTurn, head: Head | None) -> representations.WaitingFor | None:
    paused = owned = gone = retries = False
    if placed.place is not None and head is not None:
        paused, owned, retries = head.paused, not head.idle, head.retry_at is not None
        gone = is_gone(head.definition, services.code_agents)
    return representations.waiting_for(
        placed,
        paused=paused,
        owned=owned,
        has_lock=not services.dispatcher.waits_for_lock(placed.turn.id),
        has_tool=not gone and placed.turn.spec.tool in services.catalogue.tools(),
        retries=retries,
    )


async def _status(services: Services, head: Head, missing: frozenset[str]) -> AgentStatus:
    trouble = services.dispatcher.trouble(head.name)
    if trouble is not None:
        return trouble
    if head.current is not None:
        return "running"
    if head.paused:
        return "paused"
    if is_gone(head.definition, services.code_agents):
        return "unavailable"
    return "unavailable" if missing and head.queued and await _waits_for_tool(services, head.name, missing) else "idle"


async def _waits_for_tool(services: Services, name: str, missing: frozenset[str]) -> bool:
    """Whether the turn at the head of the mailbox needs one of the tools that are not registered here."""
    page = await services.store.list_turns(name, status=TurnStatus.QUEUED)
    return any(placed.place == 1 and placed.turn.spec.tool in missing for placed in page.items)


async def _head(services: Services, name: str) -> Head | None:
    listed = await services.store.get_agent(name)
    return listed.head if listed is not None else None
