"""Submitting turns: the hot path, so plain Starlette routes. FastAPI's machinery costs more than all of this."""

import logging
import re
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ..clock import system_clock
from ..commands import Enqueued
from ..errors import AgentNotFound, InvalidRequest, MalformedHeader, ServiceError, TurnEnded
from ..model import PlacedTurn
from ..runtime.requests import TurnRequest
from . import bodies, representations, standing
from .connection import Waiter
from .guard import CALLER
from .names import agent_name, turn_id
from .requests import NoBody, Submit
from .services import Services, services
from .streams import EventStreams, StreamAnswer, Wish
from .waiting import Gone, ended
from .wishes import Wishes, wishes_of

PATH = "/agents/{name}/turns"
BATCH_PATH = "/agents/{name}/turns/batch"
RETRY_PATH = "/agents/{name}/turns/{id}/retry"
JSON = "application/json"

log = logging.getLogger(__name__)

MAX_KEY = 255
"""Characters of an Idempotency-Key."""

_KEY = re.compile(r"[!-~]{1,%d}" % MAX_KEY)  # noqa: UP031 - braces mean something else here


async def submit_turn(request: Request) -> Response:
    """Accept a turn; the answer comes once it is durable. With an Idempotency-Key it may be repeated safely."""
    its, name, wishes = services(request), agent_name(request.path_params["name"]), wishes_of(request)
    key = _idempotency_key(request)
    value = await bodies.read_json(request)
    asked = bodies.validate(Submit, value).request(system_clock)
    digest = bodies.digest(value) if key is not None else b""
    accepted = await its.submission.submit(name, [asked], caller=request.scope[CALLER], key=key, digest=digest)
    return await _answer(its, request, wishes, accepted)


async def submit_batch(request: Request) -> Response:
    """Accept an array of turns, all or none, in their order."""
    its, name = services(request), agent_name(request.path_params["name"])
    _refuse_query(request)
    key = _idempotency_key(request)
    value = await bodies.read_json(request)
    asked = _requests(value, min(its.settings.max_batch, its.settings.mailbox_limit))
    digest = bodies.digest(value) if key is not None else b""
    accepted = await its.submission.submit(
        name, asked, caller=request.scope[CALLER], key=key, digest=digest, batch=True
    )
    items = [await standing.turn_json(its, placed) for placed in accepted.turns]
    return Response(b'{"items":[%s]}' % b",".join(items), 202, headers=_replayed(accepted), media_type=JSON)


async def retry_turn(request: Request) -> Response:
    """Accept an ended turn once more, as a new turn. Everything else is as for a new one."""
    its, name, wishes = services(request), agent_name(request.path_params["name"]), wishes_of(request)
    wanted, key = turn_id(request.path_params["id"]), _idempotency_key(request)
    bodies.validate(NoBody, await bodies.read_optional_json(request))
    accepted = await its.submission.retry(name, wanted, caller=request.scope[CALLER], key=key)
    return await _answer(its, request, wishes, accepted)


# --- the body --------------------------------------------------------------------------------------------------------


def _requests(value: Any, most: int) -> list[TurnRequest]:
    """The turns of an array; all that are wrong are told at once. Raises InvalidRequest."""
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        problem = f"must be an array of 1 to {most} turns"
        raise InvalidRequest("The body is not valid.", errors=[{"pointer": "", "detail": problem}])
    asked: list[TurnRequest] = []
    refused: dict[str, InvalidRequest] = {}
    for index, each in enumerate(value):
        try:
            asked.append(bodies.validate(Submit, each).request(system_clock))
        except InvalidRequest as refusal:
            refused[f"/{index}"] = refusal
    if refused:
        raise InvalidRequest.of_parts(refused)
    return asked


def _idempotency_key(request: Request) -> str | None:
    """Raises MalformedHeader. What is in no header is None; an empty one is a mistake, not an absence."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise MalformedHeader(f"Idempotency-Key must be given once, as 1 to {MAX_KEY} visible ASCII characters.")
    return keys[0]


def _refuse_query(request: Request) -> None:
    if request.scope["query_string"]:
        errors = [{"pointer": name[:100], "detail": "not known here"} for name in request.query_params]
        raise InvalidRequest("The query is not valid.", errors=errors)


# --- the answer ------------------------------------------------------------------------------------------------------


async def _answer(its: Services, request: Request, wishes: Wishes, accepted: Enqueued) -> Response:
    placed = accepted.turns[0]
    headers = {"Location": representations.turn_path(placed.turn), **_replayed(accepted)}
    leaving = _Leaving(its, placed, request.scope[CALLER] or "anonymous") if wishes.cancel else None
    if wishes.events is not None:
        return _events(its, placed, wishes, headers, leaving)
    if wishes.wait is not None:
        headers |= wishes.applied
        try:
            placed = await _wait(its, placed, wishes.wait, request)
        except Gone:
            if leaving is not None:
                await leaving.cancel()
    status = 200 if wishes.wait is not None and placed.turn.ended else 202
    return Response(await standing.turn_json(its, placed), status, headers=headers, media_type=JSON)


async def _wait(its: Services, placed: PlacedTurn, seconds: int, request: Request) -> PlacedTurn:
    if placed.turn.ended or not seconds:
        return placed
    turn, client = placed.turn, Waiter(request)
    return await ended(its, turn.id, turn.spec.agent, seconds=seconds, client=client, accepted=placed)


def _events(
    its: Services, placed: PlacedTurn, wishes: Wishes, headers: dict[str, str], leaving: "_Leaving | None"
) -> Response:
    """The turn's events as the answer; the stream's rules are those of its own address."""
    assert wishes.events is not None  # noqa: S101
    raw = tuple((name.lower().encode(), value.encode()) for name, value in headers.items())
    gone = leaving.cancel if leaving is not None else None
    wish = Wish(placed.turn.spec.agent, placed.turn.id, wishes.events, headers=raw, gone=gone, accepted=placed.turn)
    return StreamAnswer(EventStreams(reads=its.store, hub=its.hub), wish)


def _replayed(accepted: Enqueued) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if accepted.replayed else {}


class _Leaving(NamedTuple):
    """What is done for a client that wants its turn to end when it goes away."""

    its: Services
    placed: PlacedTurn
    by: str

    async def cancel(self) -> None:
        spec = self.placed.turn.spec
        try:
            await self.its.submission.cancel(spec.agent, spec.id, by=self.by, reason="the client disconnected")
        except (TurnEnded, AgentNotFound):
            return
        except ServiceError as error:
            log.warning("turn %s could not be cancelled for the client that left: %s", spec.id, error)
