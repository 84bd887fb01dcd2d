"""Event streams as raw ASGI: a stream costs its subscription and the frames of the calls that wait here.

Errors are raised before the response has started. What passes by itself is answered 200 with ``stream.closing``,
because an EventSource that sees another status stops for good (WHATWG HTML §9.2.3).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..auth import SETTINGS_ADMIN, Held, held_by
from ..errors import AgentNotFound, Damaged, TurnNotFound, Unavailable
from ..model import EventType, Head, Turn
from ..ports import Reads
from ..streaming import sse
from ..streaming.hub import Hub, opening_retry
from ..streaming.subscription import farewell
from ..streaming.watch import Watch
from .answers import RawHeader
from .caller import ADMISSION, PRINCIPAL
from .connection import Connection
from .cursors import Asked, Opening, open_agent, open_turn
from .event_query import asked_of, query_of, types_of
from .handover import HANDOVER, Follow
from .presented import PARAMETER as TICKET
from .turnstile import counted_as

HEADERS: tuple[RawHeader, ...] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # or nginx holds events back
)
PARAMETERS = frozenset({"after", "tail", "types", TICKET})
FROM_START = Asked()


class Wish(NamedTuple):
    """Which stream a client wants. ``gone`` is awaited if it goes away before the stream has come to its end.

    ``accepted``: the turn of it, if it was accepted just now, by the same request.
    """

    agent: str
    turn_id: str | None
    asked: Asked
    types: frozenset[EventType] | None = None
    headers: tuple[RawHeader, ...] = ()
    gone: Callable[[], Awaitable[None]] | None = None
    accepted: Turn | None = None


class EventStreams:
    """Opens streams. It holds a watch on the agent before it reads anything: what is committed then is not missed."""

    def __init__(self, *, reads: Reads, hub: Hub) -> None:
        self._reads = reads
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The endpoint of both routes: an agent's stream, or with ``turn_id`` in the path that turn's."""
        query = query_of(scope["query_string"], PARAMETERS)
        where = scope["path_params"]
        wish = Wish(where["name"], where.get("turn_id"), asked_of(query, scope["headers"]), types_of(query))
        await self.serve(wish, scope, receive, send)

    async def serve(self, wish: Wish, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the stream. Raises ``ServiceError`` before anything is sent."""
        if self._hub.draining:
            await _answer(wish, send, farewell("draining"))
            return
        if self._hub.busy(_caller(scope)):
            await _answer(wish, send, farewell("busy"))
            return
        watch = self._hub.watch(wish.agent)
        try:
            follow = await self._begin(wish, scope, watch, send)
        except BaseException:
            self._hub.leave(watch)
            raise
        handover = scope.get(HANDOVER)
        if follow is None:
            self._hub.leave(watch)
        elif handover is None:
            await follow(receive)
        else:
            handover.follow, handover.leave = follow, partial(_leave_all, partial(self._hub.leave, watch), scope)

    async def _begin(self, wish: Wish, scope: Scope, watch: Watch, send: Send) -> Follow | None:
        """Answer; if that has opened a stream, return what follows it and then leaves the watch."""
        try:
            opening = await self._opening(wish, watch)
        except (AgentNotFound, TurnNotFound):
            if wish.accepted is None:
                raise
            opening = await self._last_of(wish.accepted, watch)
        except (Unavailable, Damaged):
            await _answer(wish, send, farewell("unavailable"))
            return None
        if opening is None:
            await _nothing(wish, send)
        elif scope["method"] == "HEAD":
            await _answer(wish, send, b"")
        else:
            await _open(wish, send, opening)
            direct = scope[HANDOVER].send if HANDOVER in scope else send
            admission = scope.get(ADMISSION)
            left = admission.leave if admission is not None else None
            return partial(self._follow, wish, opening.cursor, watch, direct, _held(scope), left)
        return None

    async def _opening(self, wish: Wish, watch: Watch) -> Opening | None:
        """Where to begin; None: the client has seen all that there will ever be. Raises ``ServiceError``."""
        asked, accepted = wish.asked, wish.accepted
        if wish.turn_id is None and watch.known and (asked.latest or asked.given == watch.latest):
            return Opening(watch.latest)  # nothing of the row matters but that it is there
        head = await watch.head(asked.given or 0)
        if head is None:
            raise AgentNotFound(f"there is no agent {wish.agent!r}")
        if wish.turn_id is None:
            asked = await self._with_loss(head, asked)
            return open_agent(asked, earliest=head.earliest, latest=watch.latest)
        if accepted is not None and asked == FROM_START and accepted.first_seq >= head.earliest:
            return Opening(accepted.first_seq - 1)
        asked = await self._with_loss(head, asked)
        placed = await self._reads.get_turn(wish.turn_id, wish.agent)
        if placed is None:
            raise TurnNotFound(f"agent {wish.agent!r} has no turn {wish.turn_id!r}")
        return open_turn(asked, placed.turn, earliest=head.earliest, latest=watch.latest)

    async def _with_loss(self, head: Head, asked: Asked) -> Asked:
        """Whether a restore has jumped over what was given: only then is there no event of that number."""
        cursor = asked.given
        if cursor is None or not head.skipped or not head.earliest <= cursor < head.latest:
            return asked
        following = await self._reads.read_events(head.name, cursor - 1, 1)
        return replace(asked, lost=bool(following) and following[0].seq != cursor)

    async def _last_of(self, accepted: Turn, watch: Watch) -> Opening:
        """The agent was deleted since the turn was accepted; its log can still be read, and has the turn's end."""
        seq = cursor = accepted.first_seq - 1
        while events := await self._reads.read_events(watch.agent, seq, 1000):
            seq = events[-1].seq
            watch.reaches(seq)
        return Opening(cursor)

    async def _follow(  # noqa: PLR0917 (its call is made in parts)
        self,
        wish: Wish,
        cursor: int,
        watch: Watch,
        send: Send,
        held: Held,
        left_ticket: Callable[[], None] | None,
        receive: Receive,
    ) -> None:
        """Let the hub send, and wait: ``receive`` tells of a client that goes away and of a response that has ended.

        What is not needed while it waits is let go of: there may be very many.
        """
        subscription = self._hub.join(
            watch, cursor=cursor, turn_id=wish.turn_id, types=wish.types, send=send, connection=Connection(send),
            held=held,
        )  # fmt: skip
        gone = wish.gone
        del wish, cursor, send
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
            left = not subscription.ending
        finally:
            self._hub.part(watch, subscription, held)
            self._hub.leave(watch)
            if left_ticket is not None:
                left_ticket()
        if left and gone is not None:
            await gone()


class StreamAnswer(Response):
    """A stream as the answer of an ordinary route."""

    def __init__(self, streams: EventStreams, wish: Wish) -> None:
        super().__init__()
        self._streams, self._wish = streams, wish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._streams.serve(self._wish, scope, receive, send)


def stream_routes(*, reads: Reads, hub: Hub) -> list[Route]:
    endpoint = EventStreams(reads=reads, hub=hub)
    paths = {"agent_stream": "/agents/{name}/stream", "turn_stream": "/agents/{name}/turns/{turn_id}/stream"}
    return [Route(path, endpoint, methods=["GET"], name=name) for name, path in paths.items()]


def _held(scope: Scope) -> Held:
    admission = scope.get(ADMISSION)
    ticket = admission.ticket if admission is not None else ""
    return held_by(scope.get(PRINCIPAL, SETTINGS_ADMIN), ticket, _caller(scope))


def _caller(scope: Scope) -> str:
    return counted_as(scope.get(PRINCIPAL, SETTINGS_ADMIN), scope)


def _leave_all(leave: Callable[[], None], scope: Scope) -> None:
    leave()
    if (admission := scope.get(ADMISSION)) is not None:
        admission.leave()


async def _open(wish: Wish, send: Send, opening: Opening) -> None:
    """Say at once how to come back and where the stream stands, so that proxies and people see that it is open."""
    await _start(wish, send)
    first = sse.retry(opening_retry()) + sse.anchor(opening.cursor) + opening.reset
    await send({"type": "http.response.body", "body": first, "more_body": True})


async def _answer(wish: Wish, send: Send, body: bytes) -> None:
    """A stream that ends at once, cleanly."""
    await _start(wish, send)
    await send({"type": "http.response.body", "body": body})


async def not_now(send: Send, reason: sse.Closing = "unavailable") -> None:
    """What is answered to a client of a stream when it passes by itself that nothing else can be."""
    await _answer(Wish("", None, FROM_START), send, farewell(reason))


async def _start(wish: Wish, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, *wish.headers]})


async def _nothing(wish: Wish, send: Send) -> None:
    """204 is how an EventSource is told to stop coming back (WHATWG HTML §9.2.3)."""
    headers = [(b"cache-control", b"no-store"), *wish.headers]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
