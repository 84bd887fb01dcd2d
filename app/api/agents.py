"""Agents: list, create, look at."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ..model import ListedAgent
from . import bodies, standing
from .documents import AGENT, AGENTS, CREATE_AGENT, JSON, responses
from .names import agent_name
from .queries import AgentsQuery, NoQuery
from .representations import page_json
from .requests import CreateAgent
from .services import Services, services

MAX_SCAN = 10_000
"""A filtered page ends early when it has passed over so many agents: no request reads all of a large store."""

router = APIRouter(tags=["agents"], redirect_slashes=False)


@router.get("/agents", operation_id="listAgents", responses=responses(AGENTS, 422))
async def list_agents(request: Request, query: Annotated[AgentsQuery, Query()]) -> Response:
    """List agents by name. With `status`, a page may have less than `limit` items and yet a `next`."""
    return await _page(services(request), query)


@router.post("/agents", operation_id="createAgent", status_code=201, **CREATE_AGENT)
async def create_agent(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """Create an agent. The same definition again changes nothing and is answered 200; another one is refused."""
    its = services(request)
    definition = bodies.validate(CreateAgent, await bodies.read_json(request)).definition()
    reply = await its.submission.create(definition)
    shown = await standing.show(its, await standing.agent(its, definition.name))
    headers = {"Location": f"/agents/{definition.name}"}
    return Response(shown.json(), 201 if reply.created else 200, headers=headers, media_type=JSON)


@router.get("/agents/{name}", operation_id="getAgent", responses=responses(AGENT, 404))
async def get_agent(request: Request, name: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """One agent, as it stands now."""
    its = services(request)
    shown = await standing.show(its, await standing.agent(its, agent_name(name)))
    return Response(shown.json(), media_type=JSON)


async def _page(its: Services, query: AgentsQuery) -> Response:
    items: list[bytes] = []
    after, scanned = query.after, 0
    while True:
        page = await its.store.list_agents(prefix=query.prefix, after=after, limit=query.limit)
        last: ListedAgent
        for last in page.items:
            shown = await standing.show(its, last)
            if query.status in (None, shown.status):
                items.append(shown.json())
            if len(items) == query.limit:
                at_end = last is page.items[-1] and page.next is None
                return Response(page_json(items, None if at_end else last.head.name), media_type=JSON)
        after, scanned = page.next, scanned + len(page.items)
        if after is None or scanned >= MAX_SCAN:
            return Response(page_json(items, after), media_type=JSON)
