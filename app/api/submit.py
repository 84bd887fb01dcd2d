"""Submitting turns: the hot path, so ASGI endpoints. The framework's machinery costs more than all of this."""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from ..clock import system_clock
from ..commands import Enqueued
from ..errors import AgentNotFound, InvalidRequest, MalformedHeader, ServiceError, TurnEnded
from ..grants import Scope
from ..logs.about import about
from ..model import PlacedTurn
from ..runtime.requests import TurnRequest
from ..tracing.port import Tracing
from . import bodies, representations, standing
from .answers import JSON, Answer, RawHeader
from .caller import CALLER, PRINCIPAL, asker_of
from .connection import Waiter
from .event_query import pairs_of
from .heads import Heads, heads_of
from .names import agent_name, turn_id
from .requests import NoBody, Submit, plain_submit
from .scopes import require
from .services import Services
from .streams import EventStreams, StreamAnswer, Wish
from .waiting import Gone, ended_after
from .wishes import NONE, Wishes, wishes_of

PATH = "/agents/{name}/turns"
BATCH_PATH = "/agents/{name}/turns/batch"
RETRY_PATH = "/agents/{name}/turns/{id}/retry"

log = logging.getLogger(__name__)

MAX_KEY = 255
"""Characters of an Idempotency-Key."""

Make = Callable[[Services, ASGIScope, Receive], Awaitable[ASGIApp]]

_KEY = re.compile(rb"[!-~]{1,%d}" % MAX_KEY)


async def submit_turn(its: Services, scope: ASGIScope, receive: Receive) -> ASGIApp:
    """Accept a turn; the answer comes once it is durable. With an Idempotency-Key it may be repeated safely."""
    heads, name = heads_of(scope), agent_name(scope["path_params"]["name"])
    wishes, key = wishes_of(scope["query_string"], heads), _idempotency_key(heads)
    value = await bodies.receive_json(heads, receive)
    asked = plain_submit(value) or bodies.validate(Submit, value).request(system_clock)
    digest = bodies.digest(value) if key is not None else b""
    submitting = its.submission.submit(
        name, [asked], caller=scope[CALLER], key=key, digest=digest, asker=asker_of(scope)
    )
    if wishes is NONE:
        return _accepted(its, await submitting)
    return await _answer(its, scope, receive, wishes, submitting)


async def submit_batch(its: Services, scope: ASGIScope, receive: Receive) -> ASGIApp:
    """Accept an array of turns, all or none, in their order."""
    heads, name = heads_of(scope), agent_name(scope["path_params"]["name"])
    _refuse_query(scope["query_string"])
    key = _idempotency_key(heads)
    value = await bodies.receive_json(heads, receive)
    asked = _requests(value, min(its.settings.max_batch, its.settings.mailbox_limit))
    digest = bodies.digest(value) if key is not None else b""
    accepted = await its.submission.submit(
        name, asked, caller=scope[CALLER], key=key, digest=digest, batch=True, asker=asker_of(scope)
    )
    items = [standing.turn_beside(its, placed, accepted.head) for placed in accepted.turns]
    return Answer(202, b'{"items":[%s]}' % b",".join(items), (JSON, *_replayed(accepted)))


async def retry_turn(its: Services, scope: ASGIScope, receive: Receive) -> ASGIApp:
    """Accept an ended turn once more, as a new turn. Everything else is as for a new one.

    But what it was given may be somebody else's: it is shown to those only who may look at it.
    """
    heads, name = heads_of(scope), agent_name(scope["path_params"]["name"])
    wishes, key = wishes_of(scope["query_string"], heads), _idempotency_key(heads)
    wanted = turn_id(scope["path_params"]["id"])
    bodies.validate(NoBody, await bodies.receive_optional_json(heads, receive))
    bare = not scope[PRINCIPAL].may(Scope.AGENTS_READ, name)
    if bare and wishes.events is not None:
        require(scope[PRINCIPAL], Scope.STREAM_READ, name)
    retrying = its.submission.retry(name, wanted, caller=scope[CALLER], key=key, asker=asker_of(scope))
    return await _answer(its, scope, receive, wishes, retrying, bare=bare)


class Endpoint:
    """A coroutine function that makes an answer, as an ASGI application: the router adds nothing around those."""

    def __init__(self, its: Services, make: Make) -> None:
        self._its, self._make = its, make

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        answer = await self._make(self._its, scope, receive)
        await answer(scope, receive, send)


class TracedEndpoint:
    """The same, where turns are traced: the span of a request ends with what is answered, be that yet to be sent."""

    def __init__(self, its: Services, make: Make, *, route: str, tracing: Tracing) -> None:
        self._its, self._make, self._route, self._tracing = its, make, route, tracing

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        asked = (scope["method"], self._route, scope["path"], scope["scheme"], scope["headers"])
        with self._tracing.exchange(*asked) as exchange:
            answer = await self._make(self._its, scope, receive)
            exchange.answered(answer.status if isinstance(answer, Answer) else 200)
        await answer(scope, receive, send)


def submit_routes(its: Services) -> list[Route]:
    """The hottest first."""
    makes = {PATH: submit_turn, BATCH_PATH: submit_batch, RETRY_PATH: retry_turn}
    ends = {path: _endpoint(its, path, make) for path, make in makes.items()}
    return [Route(path, end, methods=["POST"], include_in_schema=False) for path, end in ends.items()]


def _endpoint(its: Services, path: str, make: Make) -> ASGIApp:
    """Decided once, so that a service without traces pays nothing for those of others."""
    if its.tracing is None:
        return Endpoint(its, make)
    return TracedEndpoint(its, make, route=path, tracing=its.tracing)


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
            asked.append(plain_submit(each) or bodies.validate(Submit, each).request(system_clock))
        except InvalidRequest as refusal:
            refused[f"/{index}"] = refusal
    if refused:
        raise InvalidRequest.of_parts(refused)
    return asked


def _idempotency_key(heads: Heads) -> str | None:
    """Raises MalformedHeader. What is in no header is None; an empty one is a mistake, not an absence."""
    keys = heads.get(b"idempotency-key")
    if keys is None:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise MalformedHeader(f"Idempotency-Key must be given once, as 1 to {MAX_KEY} visible ASCII characters.")
    return keys[0].decode()


def _refuse_query(query: bytes) -> None:
    if query:
        errors = [{"pointer": name[:100], "detail": "not known here"} for name, _ in pairs_of(query)]
        raise InvalidRequest("The query is not valid.", errors=errors)


# --- the answer ------------------------------------------------------------------------------------------------------


async def _answer(
    its: Services,
    scope: ASGIScope,
    receive: Receive,
    wishes: Wishes,
    submitting: Awaitable[Enqueued],
    *,
    bare: bool = False,
) -> ASGIApp:
    if wishes.wait and wishes.events is None:
        return await _wait(its, scope, receive, wishes, submitting, bare=bare)
    accepted = await submitting
    if wishes.events is not None:
        placed = accepted.turns[0]
        return _events(its, placed, wishes, _headers(accepted), _leaving(its, scope, wishes, placed))
    return _accepted(its, accepted, wishes, bare=bare)


async def _wait(
    its: Services, scope: ASGIScope, receive: Receive, wishes: Wishes, submitting: Awaitable[Enqueued], *, bare: bool
) -> ASGIApp:
    """Listens before the turn is accepted, so that its end is heard however soon it comes."""
    with its.hub.hearing() as heard:
        accepted = await submitting
        placed = accepted.turns[0]
        if placed.turn.ended:
            return _accepted(its, accepted, wishes, bare=bare)
        ending = its.hub.ending(placed.turn.id, heard)
    try:
        placed = await ended_after(its, placed, ending, seconds=wishes.wait or 0, client=Waiter(scope, receive))
    except Gone:
        if leaving := _leaving(its, scope, wishes, placed):
            await leaving.cancel()
    # What the agent's row said when the turn was accepted was true of the turn as it was then.
    content = await standing.turn_json(its, placed, bare=bare)
    return Answer(_status(wishes, placed), content, (JSON, *_headers(accepted), *wishes.applied))


def _accepted(its: Services, accepted: Enqueued, wishes: Wishes = NONE, *, bare: bool = False) -> Answer:
    """The turn as it was accepted."""
    placed = accepted.turns[0]
    content = standing.turn_beside(its, placed, accepted.head, bare=bare)
    return Answer(_status(wishes, placed), content, (JSON, *_headers(accepted), *wishes.applied))


def _status(wishes: Wishes, placed: PlacedTurn) -> int:
    return 200 if wishes.wait is not None and placed.turn.ended else 202


def _headers(accepted: Enqueued) -> tuple[RawHeader, ...]:
    return ((b"location", representations.turn_path(accepted.turns[0].turn).encode()), *_replayed(accepted))


def _leaving(its: Services, scope: ASGIScope, wishes: Wishes, placed: PlacedTurn) -> "_Leaving | None":
    return _Leaving(its, placed, scope[CALLER] or "anonymous") if wishes.cancel else None


def _events(
    its: Services, placed: PlacedTurn, wishes: Wishes, headers: tuple[RawHeader, ...], leaving: "_Leaving | None"
) -> StreamAnswer:
    """The turn's events as the answer; the stream's rules are those of its own address."""
    assert wishes.events is not None  # noqa: S101
    spec, gone = placed.turn.spec, leaving.cancel if leaving is not None else None
    wish = Wish(spec.agent, spec.id, wishes.events, headers=headers, gone=gone, accepted=placed.turn)
    return StreamAnswer(EventStreams(reads=its.store, hub=its.hub), wish)


def _replayed(accepted: Enqueued) -> tuple[RawHeader, ...]:
    return ((b"idempotency-replayed", b"true"),) if accepted.replayed else ()


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
            of_turn = about(spec.agent, spec.id)
            log.warning("turn %s could not be cancelled for the client that left: %s", spec.id, error, extra=of_turn)
