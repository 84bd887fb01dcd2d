"""One reader of one agent's log: a cursor, not a queue. Whatever happens to it, its next event is ``cursor + 1``.

It takes from the ring, else a page of the store, and sends. While a send waits for the client it takes nothing more,
so a slow reader costs one batch of memory. Replay becomes live without a seam, because both are "what follows".
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from enum import Enum
from typing import Any, NamedTuple, Protocol

from ..errors import Damaged
from ..logs.about import about
from ..model import TERMINAL, EventType
from ..telemetry import Dropped
from . import sse
from .drive import drive
from .ring import BATCH_BYTES, Batch, Framed
from .watch import Watch

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
"""ASGI's."""

logger = logging.getLogger(__name__)


class State(Enum):
    IDLE = "waits for something new"
    READING = "waits for a page of the store"
    SENDING = "waits for the client to take what was sent"
    ENDED = "will send nothing more"


class Connection(Protocol):
    """The server's side of the client's connection."""

    @property
    def closed(self) -> bool:
        """Whether the client has left, or was cut off."""
        ...

    def write(self, body: bytes) -> bool:
        """Give ``body`` (not empty, and not the last) to the server at once, past ``Send``: for a client that keeps up.

        False, and nothing is done, if there is no such way or the client has still to take what it was sent.
        """
        ...

    def cut(self) -> None:
        """Close it at once. Whoever waits for the client hears of it."""
        ...


class Patience(NamedTuple):
    """Seconds: of silence after which a ping is sent, and that one send may take before the stream is ended."""

    ping: float = 15.0
    send: float = 30.0


PATIENCE = Patience()


class Wanted(NamedTuple):
    """Which events a stream shows: one turn's or all, of some types or all. A turn's terminal event is always shown."""

    turn_id: str | None = None
    types: Collection[EventType] | None = None

    def is_end_of_turn(self, entry: Framed) -> bool:
        return self.turn_id is not None and entry.turn_id == self.turn_id and entry.type in TERMINAL

    def ends_with(self, entry: Framed) -> bool:
        return entry.type is EventType.AGENT_DELETED or self.is_end_of_turn(entry)

    def shows(self, entry: Framed) -> bool:
        if self.turn_id is not None and entry.turn_id != self.turn_id:
            return False
        return self.types is None or entry.type in self.types or self.is_end_of_turn(entry)


EVERYTHING = Wanted()


def farewell(reason: sse.Closing) -> bytes:
    """The last bytes of a stream that the client shall open again, spread over some seconds."""
    return sse.retry(random.randint(2000, 5000)) + sse.closing(reason)


class Subscription:
    """Sends by itself whenever it is woken; never raises to whom wakes it."""

    __slots__ = ("__weakref__", "_caller", "_connection", "_farewell", "_last", "_page", "_patience", "_send", "_since",
                 "_task", "_wanted", "_watch", "cursor", "state")  # fmt: skip

    def __init__(
        self,
        *,
        watch: Watch,
        cursor: int,
        wanted: Wanted,
        send: Send,
        connection: Connection,
        patience: Patience,
        caller: str = "",
    ) -> None:
        self.cursor = cursor
        self.state = State.IDLE
        self._watch = watch
        self._wanted = wanted
        self._caller = caller
        self._send = send
        self._connection = connection
        self._patience = patience
        self._since = asyncio.get_running_loop().time()
        self._last = False
        self._farewell: bytes | None = None
        self._page: asyncio.Task[Batch | None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def ending(self) -> bool:
        """Whether it was told, or came to tell, its last: a client that goes away then has not left it."""
        return self._last or self._farewell is not None

    @property
    def behind(self) -> int:
        """How many events of the agent it has still to go past; 0 once it has ended."""
        return max(0, self._watch.latest - self.cursor) if self.state is not State.ENDED else 0

    def wake(self) -> None:
        """Go on from the cursor until there is nothing more, or something to wait for."""
        while self.state is State.IDLE and self.cursor < self._watch.latest:
            batch = self._watch.recent(self.cursor)
            if batch is None:
                self._read()
            else:
                self._deliver(batch)

    def tick(self, now: float) -> None:
        """Ping a silent client; give up one that has not taken a send for too long, or has left without a word."""
        if self.state is not State.ENDED and self._connection.closed:
            self.abort()
        elif self.state is State.IDLE and now - self._since >= self._patience.ping:
            self._write(sse.PING)
        elif self.state is State.SENDING and now - self._since >= self._patience.send:
            self._drop()

    def _drop(self) -> None:
        agent, of = self._watch.agent, self._caller or "nobody in particular"
        logger.warning(
            "a stream of agent %r was cut: its client, %s, took nothing for %g seconds", agent, of, self._patience.send,
            extra=about(agent),
        )  # fmt: skip
        self._watch.emit(Dropped())
        self.abort()

    def farewell(self, body: bytes) -> None:
        """End the stream cleanly with ``body``: at once, or when the client has taken what is being sent."""
        if self.state is State.SENDING:
            self._farewell = body
        elif self.state is not State.ENDED:
            self._release_page()
            self._write(body, last=True)

    def abort(self) -> None:
        """Cut the connection: the client sees no clean end and resumes from what it got."""
        if self.state is not State.ENDED:
            self.state = State.ENDED
            self._connection.cut()

    def close(self) -> None:
        """The client is gone or the stream has ended: let go of everything at once. May be called twice."""
        self.state = State.ENDED
        self._release_page()
        if self._task is not None:
            self._task.cancel()

    def _read(self) -> None:
        self.state = State.READING
        self._page = page = self._watch.page(self.cursor)
        page.add_done_callback(self._arrived)

    def _arrived(self, page: "asyncio.Task[Batch | None]") -> None:
        if self.state is not State.READING:
            return
        self.state, self._page = State.IDLE, None
        if page.cancelled() or page.exception() is not None:
            level = logging.DEBUG if isinstance(_error_of(page), Damaged) else logging.WARNING  # the store has told it
            logger.log(level, "stream of %s: events cannot be read", self._watch.agent, exc_info=_error_of(page))
            self.farewell(farewell("unavailable"))
        elif batch := page.result():
            self._deliver(batch)
            self.wake()

    def _deliver(self, batch: Batch) -> None:
        """Send what this stream shows of the batch, and go past all of it."""
        cursor, self.cursor = self.cursor, batch.last
        if not batch.joins(cursor):
            self._bridge(cursor, batch)
        elif self._wanted is EVERYTHING:
            self._write(batch.body, last=batch.ends_log)
        else:
            self._write_some(batch)

    def _bridge(self, cursor: int, batch: Batch) -> None:
        """What follows the cursor was pruned while the client was too slow: say so, never skip in silence."""
        if self._wanted.turn_id is not None or batch.frames[0].type is EventType.AGENT_CREATED:
            self._write(farewell("unavailable"), last=True)  # the rest of its turn, or its whole agent, is no more
            return
        self.cursor = batch.first - 1
        reset = sse.reset("retention", cursor, batch.first, max(self._watch.latest, batch.last))
        self._write(sse.anchor(self.cursor) + reset)

    def _write_some(self, batch: Batch) -> None:
        """Send the frames that are shown; a filter's reader keeps up with what it does not see by a bare id."""
        shown: list[bytes] = []
        for entry in batch.frames:
            if self._wanted.shows(entry):
                shown.append(entry.frame)
            if self._wanted.ends_with(entry):
                self._write(b"".join(shown), last=True)
                return
        if self._wanted.types is not None and not self._wanted.shows(batch.frames[-1]):
            shown.append(sse.anchor(batch.last))
        if shown:
            self._write(b"".join(shown))

    def _write(self, body: bytes, *, last: bool = False) -> None:
        self._since = asyncio.get_running_loop().time()
        self._last = last
        try:
            if not last and len(body) <= BATCH_BYTES and self._connection.write(body):
                return
            task = drive(self._pieces(body) if len(body) > BATCH_BYTES else self._piece(body, last))
        except Exception:
            if not self._connection.closed:
                logger.exception("stream of %s: the server does not take events", self._watch.agent)
            self.abort()
            return
        if task is None:
            self.state = State.ENDED if last else State.IDLE
        else:
            self.state, self._task = State.SENDING, task
            task.add_done_callback(self._sent)

    def _piece(self, body: bytes, last: bool) -> Awaitable[None]:
        return self._send({"type": "http.response.body", "body": body, "more_body": not last})

    async def _pieces(self, body: bytes) -> None:
        """A large frame in pieces, each waiting for the one before: the server never buffers all of it."""
        for start in range(0, len(body), BATCH_BYTES):
            piece = body[start : start + BATCH_BYTES]
            await self._piece(piece, self._last and start + BATCH_BYTES >= len(body))
            self._since = asyncio.get_running_loop().time()

    def _release_page(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            page.remove_done_callback(self._arrived)

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if self.state is not State.SENDING:
            return
        if task.cancelled() or task.exception() is not None:
            if not self._connection.closed:
                error = _error_of(task)
                logger.error("stream of %s: the server does not take events", self._watch.agent, exc_info=error)
            self.abort()
            return
        self._since = asyncio.get_running_loop().time()
        self.state = State.ENDED if self._last else State.IDLE
        if self._farewell is not None:
            self.farewell(self._farewell)
        self.wake()


def _error_of(task: "asyncio.Task[Any]") -> BaseException | None:
    return None if task.cancelled() else task.exception()
