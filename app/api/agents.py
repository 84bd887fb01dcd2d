"""Agents: list, create, look at, change, pause, delete."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ..errors import AgentNotFound
from ..grants import Names, Scope
from ..model import ListedAgent
from . import bodies, standing, visible
from .caller import CALLER, entry, principal_of
from .documents import (
    AGENT,
    AGENTS,
    CHANGE_AGENT,
    CREATE_AGENT,
    DELETE_AGENT,
    JSON,
    PATCH_AGENT,
    READS,
    responses,
)
from .names import agent_name
from .queries import AgentsQuery, DeleteQuery, NoQuery
from .representations import page_json
from .requests import CreateAgent, Merge
from .scopes import require
from .services import Services, services

MAX_SCAN = 10_000
"""A filtered page ends early when it has passed over so many agents: no request reads all of a large store."""

router = APIRouter(tags=["agents"], redirect_slashes=False)


@router.get("/agents", operation_id="listAgents", responses=responses(AGENTS, *READS))
async def list_agents(request: Request, query: Annotated[AgentsQuery, Query()]) -> Response:
    """List agents by name. With `status`, a page may have less than `limit` items and yet a `next`."""
    return await _page(services(request), principal_of(request.scope).names(Scope.AGENTS_READ), query)


@router.post("/agents", operation_id="createAgent", status_code=201, **CREATE_AGENT)
async def create_agent(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """Create an agent. The same definition again changes nothing and is answered 200; another one is refused."""
    its = services(request)
    definition = bodies.validate(CreateAgent, await bodies.read_json(request)).definition()
    require(principal_of(request.scope), Scope.ADMIN, definition.name)
    reply = await its.administration.create(definition, entry(request.scope, "createAgent", definition.name))
    headers = {"Location": f"/agents/{definition.name}"}
    return await _answer(its, definition.name, 201 if reply.created else 200, headers)


@router.get("/agents/{name}", operation_id="getAgent", responses=responses(AGENT, AgentNotFound, *READS))
async def get_agent(request: Request, name: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """One agent, as it stands now."""
    return await _answer(services(request), agent_name(name))


@router.patch("/agents/{name}", operation_id="patchAgent", **PATCH_AGENT)
async def patch_agent(request: Request, name: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """Change an agent by a merge patch (RFC 7396). Of an agent of the code only the labels can be changed."""
    its, agent = services(request), agent_name(name)
    changes = bodies.validate(Merge, await bodies.read_json(request)).changes()
    await its.administration.patch(agent, changes, entry(request.scope, "patchAgent", agent, changed=sorted(changes)))
    return await _answer(its, agent)


@router.post("/agents/{name}/pause", operation_id="pauseAgent", **CHANGE_AGENT)
async def pause_agent(request: Request, name: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """Pause an agent, durably: its running turn finishes, the next one waits. Turns are accepted all the same."""
    its, agent = services(request), agent_name(name)
    await its.administration.pause(agent, entry(request.scope, "pauseAgent", agent))
    return await _answer(its, agent)


@router.post("/agents/{name}/resume", operation_id="resumeAgent", **CHANGE_AGENT)
async def resume_agent(request: Request, name: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """Let the mailbox of a paused agent go on."""
    its, agent = services(request), agent_name(name)
    await its.administration.resume(agent, entry(request.scope, "resumeAgent", agent))
    return await _answer(its, agent)


@router.delete("/agents/{name}", operation_id="deleteAgent", status_code=204, **DELETE_AGENT)
async def delete_agent(request: Request, name: str, query: Annotated[DeleteQuery, Query()]) -> Response:
    """Delete an agent with its turns, its log and its memory. One that has turns is only deleted with `force`.

    Its streams end with `agent.deleted`. An agent that is later made under this name goes on above the old numbers.
    """
    its, agent = services(request), agent_name(name)
    by, force = request.scope[CALLER] or "anonymous", query.force == "true"
    await its.administration.delete(
        agent, by=by, force=force, entry=entry(request.scope, "deleteAgent", agent, force=force)
    )
    return Response(status_code=204)


async def _answer(its: Services, name: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The agent as it stands now. Raises AgentNotFound: it may just have been deleted."""
    shown = await standing.show(its, await standing.agent(its, name))
    return Response(shown.json(), status, headers=headers, media_type=JSON)


async def _page(its: Services, names: Names, query: AgentsQuery) -> Response:
    items: list[bytes] = []
    after, scanned = query.after, 0
    while True:
        page = await visible.list_agents(its.store, names, prefix=query.prefix, after=after, limit=query.limit)
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
