"""Turns: list, look at (and wait for), cancel. Submitting one is in ``submit``."""

import json
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ..access.records import Entry
from ..commands import Cascade
from ..errors import AgentNotFound, InvalidRequest, TurnEnded, TurnNotFound
from ..grants import Scope
from ..model import PlacedTurn, TurnRef
from . import bodies, standing, visible
from .caller import CALLER, entry, principal_of
from .connection import Waiter
from .documents import CANCEL, GET_TURN, JSON, READS, TURN, TURNS, responses
from .names import agent_name, turn_id
from .queries import CancelQuery, TurnQuery, TurnsQuery
from .representations import page_json
from .requests import Cancel
from .services import services
from .waiting import Gone, ended, read_turn

router = APIRouter(tags=["turns"], redirect_slashes=False)


@router.get("/agents/{name}/turns", operation_id="listTurns", responses=responses(TURNS, AgentNotFound, *READS))
async def list_turns(request: Request, name: str, query: Annotated[TurnsQuery, Query()]) -> Response:
    """List the turns of an agent in the order in which they were accepted."""
    its = services(request)
    listed = await standing.agent(its, agent_name(name))
    if query.after is not None and await its.store.get_turn(query.after, name) is None:
        raise _no_such_cursor()
    page = await its.store.list_turns(name, status=query.status, after=query.after, limit=query.limit)
    items = [await standing.turn_json(its, placed, whole=False, head=listed.head) for placed in page.items]
    return Response(page_json(items, page.next), media_type=JSON)


@router.get("/turns", operation_id="listAllTurns", responses=responses(TURNS, *READS))
async def list_all_turns(request: Request, query: Annotated[TurnsQuery, Query()]) -> Response:
    """List the turns of all agents in the order in which they were accepted."""
    its = services(request)
    principal, after = principal_of(request.scope), query.after
    if after is not None and (after := await visible.position(its.store, principal, after)) is None:
        raise _no_such_cursor()
    page = await visible.list_turns(its.store, principal, status=query.status, after=after, limit=query.limit)
    items = [await standing.turn_json(its, placed, whole=False) for placed in page.items]
    return Response(page_json(items, page.next), media_type=JSON)


@router.get("/agents/{name}/turns/{id}", operation_id="getTurn", **GET_TURN)
async def get_turn(request: Request, name: str, id: str, query: Annotated[TurnQuery, Query()]) -> Response:
    """One turn. With `wait`, the answer comes when the turn has ended or the time is over, whichever is first."""
    return await _turn(request, turn_id(id), agent_name(name), query.wait)


@router.get("/turns/{id}", operation_id="getTurnById", responses=responses(TURN, TurnNotFound, *READS))
async def get_turn_by_id(request: Request, id: str, query: Annotated[TurnQuery, Query()]) -> Response:
    """One turn, of whatever agent."""
    return await _turn(request, turn_id(id), None, query.wait)


@router.post("/agents/{name}/turns/{id}/cancel", operation_id="cancelTurn", **CANCEL)
async def cancel_turn(request: Request, name: str, id: str, query: Annotated[CancelQuery, Query()]) -> Response:
    """Cancel a turn: 200 if it is cancelled, 202 if its running tool was told to stop, 409 if it had ended.

    With `cascade` a turn that had ended is 200, too, if any that it has sent could be cancelled. It leaves alone turns
    of agents whose turns the key may not cancel.
    """
    its, agent = services(request), agent_name(name)
    body = bodies.validate(Cancel, await bodies.read_optional_json(request))
    by = request.scope[CALLER] or "anonymous"
    principal, cascades = principal_of(request.scope), query.cascade == "true"

    def logged(turn: TurnRef) -> Entry | None:
        if not principal.may(Scope.ADMIN, turn.agent):
            return None
        return entry(request.scope, "cancelTurn", turn.agent, turn_id=turn.id, cascade=cascades)

    bare = not principal.may(Scope.AGENTS_READ, agent)
    cascade = Cascade(partial(principal.may, Scope.TURNS_CANCEL), logged) if cascades else None
    try:
        reply = await its.submission.cancel(
            agent, turn_id(id), by=by, reason=body.reason, cascade=cascade, entry=logged(TurnRef(agent, id))
        )
    except TurnEnded as ended:
        shown = json.loads(await standing.turn_json(its, PlacedTurn(ended.fields["turn"]), bare=bare))
        raise TurnEnded(ended.detail, turn=shown) from None
    content = await standing.turn_json(its, PlacedTurn(reply.turn), bare=bare)
    return Response(content, 202 if reply.asked else 200, media_type=JSON)


def _no_such_cursor() -> InvalidRequest:
    """A turn that is not there would list nothing, as if the list were at its end."""
    errors = [{"pointer": "after", "detail": "not the id of a turn that would be in this list"}]
    return InvalidRequest("The query is not valid.", errors=errors)


async def _turn(request: Request, wanted: str, agent: str | None, wait: int) -> Response:
    its = services(request)
    if agent is None:  # its agent is known only now, and must be before anybody waits
        visible.check_turn(principal_of(request.scope), await read_turn(its, wanted, None))
    try:
        if wait:
            placed = await ended(its, wanted, agent, seconds=wait, client=Waiter(request.scope, request.receive))
        else:
            placed = await read_turn(its, wanted, agent)
    except Gone:
        return Response(status_code=204)  # nobody reads it
    return Response(await standing.turn_json(its, placed), media_type=JSON)
