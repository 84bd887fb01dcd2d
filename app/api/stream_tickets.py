"""``POST /stream-tickets``: a ticket for a page's ``EventSource``, made by whoever has a key."""

import json
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ..clock import to_rfc3339
from ..grants import Scope
from . import bodies, standing
from .access_bodies import CreateTicket
from .access_documents import CREATE_TICKET
from .caller import principal_of
from .documents import JSON
from .names import no_agent
from .queries import NoQuery
from .scopes import require
from .services import services

router = APIRouter(tags=["access"], redirect_slashes=False)


@router.post("/stream-tickets", operation_id="createStreamTicket", status_code=201, **CREATE_TICKET)
async def create_ticket(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """Issue a ticket: `?ticket=…` opens one stream of one of the agents, or of one of their turns, within 60 seconds.

    It then admits that stream's reconnections, one connection at a time, until 10 minutes after the last one was closed
    or the key is void.
    """
    its, principal = services(request), principal_of(request.scope)
    asked = bodies.validate(CreateTicket, await bodies.read_json(request))
    for name in asked.agents:
        if not principal.sees(name):
            raise no_agent(name)
        require(principal, Scope.STREAM_READ, name)
        await standing.agent(its, name)
    ticket, until = await its.tickets.issue(principal, asked.agents)
    content = json.dumps({"ticket": ticket, "expires_at": to_rfc3339(until)}, separators=(",", ":"))
    return Response(content, 201, media_type=JSON)
