"""The two SSE routes, as raw ASGI: a stream costs its subscription and the frames of the calls that wait here.

Errors are raised before the response has started. What passes by itself is answered 200 with ``stream.closing``,
because an EventSource that sees another status stops for good (WHATWG HTML §9.2.3).
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, cast

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import AgentNotFound, TurnNotFound, Unavailable
from ..model import EventType
from ..ports import Reads
from ..streaming import sse
from ..streaming.hub import Hub, opening_retry
from ..streaming.subscription import farewell
from ..streaming.watch import Watch
from .cursors import Opening, open_agent, open_turn
from .event_query import asked_of, query_of, types_of

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # or nginx holds events back
)
PARAMETERS = frozenset({"after", "tail", "types"})
HANDOVER = "pygents.handover"


class Plan(NamedTuple):
    """What a stream will send."""

    opening: Opening
    turn_id: str | None
    types: frozenset[EventType] | None


class Handover:
    """What passes between the two ends of the middlewares: the server's own ``send`` in, an open stream out."""

    __slots__ = ("follow", "leave", "send")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.follow: Callable[[Receive], Awaitable[None]] | None = None
        self.leave: Callable[[], None] = _nobody_to_leave


class DirectSend:
    """Outermost middleware: once it is open, a stream leaves the framework and goes on here, on the server's ``send``.

    That frees the framework's frames and scope for the life of the stream (more than 3 KB) and spares each send its
    wrappers. What lies in between sees a stream's start only: its call returns when the stream is open. Streams work
    without it too, but one whose client takes nothing can then only be ended by cancelling its call.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        handover = Handover(send)
        try:
            await self._app({**scope, HANDOVER: handover}, receive, send)
        except BaseException:
            handover.leave()
            raise
        follow = handover.follow
        del scope, send, handover
        if follow is not None:
            await follow(receive)


class EventStream:
    """The endpoint of both routes: an agent's stream, or with ``turn_id`` in the path that turn's.

    It holds a watch on the agent before it reads anything, so what is committed in between is not missed.
    """

    def __init__(self, *, reads: Reads, hub: Hub) -> None:
        self._reads = reads
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hub.draining:
            await _answer(send, farewell("draining"))
            return
        watch = self._hub.watch(scope["path_params"]["name"])
        try:
            follow = await self._begin(scope, watch, send)
        except BaseException:
            self._hub.leave(watch)
            raise
        handover = scope.get(HANDOVER)
        if follow is None:
            self._hub.leave(watch)
        elif handover is None:
            await follow(receive)
        else:
            handover.follow, handover.leave = follow, partial(self._hub.leave, watch)

    async def _begin(self, scope: Scope, watch: Watch, send: Send) -> "Callable[[Receive], Awaitable[None]] | None":
        """Answer; if that has opened a stream, return what follows it and then leaves the watch."""
        try:
            plan = await self._plan(scope, watch)
        except Unavailable:
            await _answer(send, farewell("unavailable"))
            return None
        if plan is None:
            await _nothing(send)
        elif scope["method"] == "HEAD":
            await _answer(send, b"")
        else:
            await _open(send, plan.opening)
            direct = scope[HANDOVER].send if HANDOVER in scope else send
            return partial(self._follow, plan, watch, direct)
        return None

    async def _plan(self, scope: Scope, watch: Watch) -> Plan | None:
        """Decide what to send; None: the client has seen all that there will ever be. Raises ``ServiceError``."""
        query = query_of(scope["query_string"], PARAMETERS)
        asked, types = asked_of(query, scope["headers"]), types_of(query)
        listed = await self._reads.get_agent(watch.agent)
        if listed is None:
            raise AgentNotFound(f"there is no agent {watch.agent!r}")
        watch.reaches(listed.head.latest)
        earliest = listed.head.earliest
        turn_id: str | None = scope["path_params"].get("turn_id")
        if turn_id is None:
            return Plan(open_agent(asked, earliest=earliest, latest=watch.latest), None, types)
        placed = await self._reads.get_turn(turn_id, watch.agent)
        if placed is None:
            raise TurnNotFound(f"agent {watch.agent!r} has no turn {turn_id!r}")
        opening = open_turn(asked, placed.turn, earliest=earliest, latest=watch.latest)
        return None if opening is None else Plan(opening, turn_id, types)

    async def _follow(self, plan: Plan, watch: Watch, send: Send, receive: Receive) -> None:
        """Let the hub send, and wait: ``receive`` tells of a client that goes away and of a response that has ended."""
        subscription = self._hub.join(
            watch,
            cursor=plan.opening.cursor,
            turn_id=plan.turn_id,
            types=plan.types,
            send=send,
            abort=_cutter(send),
        )
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._hub.part(watch, subscription)
            self._hub.leave(watch)


def _nobody_to_leave() -> None:
    """No stream was opened."""


def stream_routes(*, reads: Reads, hub: Hub) -> list[Route]:
    endpoint = EventStream(reads=reads, hub=hub)
    paths = {"agent_stream": "/agents/{name}/stream", "turn_stream": "/agents/{name}/turns/{turn_id}/stream"}
    return [Route(path, endpoint, methods=["GET"], name=name) for name, path in paths.items()]


async def _open(send: Send, opening: Opening) -> None:
    """Say at once how to come back and where the stream stands, so that proxies and people see that it is open."""
    await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
    first = sse.retry(opening_retry()) + sse.anchor(opening.cursor) + opening.reset
    await send({"type": "http.response.body", "body": first, "more_body": True})


async def _answer(send: Send, body: bytes) -> None:
    """A stream that ends at once, cleanly."""
    await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
    await send({"type": "http.response.body", "body": body})


async def _nothing(send: Send) -> None:
    """204 is how an EventSource is told to stop coming back (WHATWG HTML §9.2.3)."""
    await send({"type": "http.response.start", "status": 204, "headers": [(b"cache-control", b"no-store")]})
    await send({"type": "http.response.body", "body": b""})


def _cutter(send: Send) -> Callable[[], object]:
    """How to cut a client that takes nothing: closing would wait for it, so abort the transport if the server shows it.

    uvicorn's ``send`` is a method of an object that has the transport. Else the call is cancelled.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    return transport.abort if transport is not None else cast("asyncio.Task[None]", asyncio.current_task()).cancel
