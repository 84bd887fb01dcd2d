"""uvicorn's HTTP/1.1 protocol with bounds on what comes before a request is whole, which it lacks: bytes and seconds.

uvicorn itself closes a connection that is idle between two requests. Its bound on connections (limit_concurrency) is
not used: beyond it an open stream counts as a request, and answers are a 503 that no EventSource comes back from.
"""

import asyncio
from enum import Enum
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .api.problems import response
from .errors import HeadTooLarge, RequestTooSlow, ServiceError
from .telemetry import Emit, Refused, silent

MAX_HEAD = 64 * 1024
"""Bytes of request line and headers. A head without end would fill the memory long before any route sees it."""


def _answer(error: ServiceError) -> bytes:
    """The whole answer as it goes over the wire; the connection ends with it."""
    made = response(error)
    fields = b"".join(b"%b: %b\r\n" % field for field in made.raw_headers)
    status = HTTPStatus(error.status)
    start = b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())
    return b"%b%bconnection: close\r\n\r\n%b" % (start, fields, bytes(made.body))


TOO_LARGE = _answer(HeadTooLarge("Request line and headers may have 64 KiB together."))
TOO_SLOW = _answer(RequestTooSlow("Head and body must each be here within the time that GET /limits tells."))


class Waits(NamedTuple):
    """Seconds within which a client has to send the whole head of a request, and then its whole body.

    Without them a client that sends a byte now and then (slowloris) keeps a connection, and what is kept for it, for
    ever; a few thousand of those are all that a process can have.
    """

    head: float = 10.0
    body: float = 60.0


WAITS = Waits()


class Phase(Enum):
    """What is awaited of the client."""

    HEAD = "a head, or the rest of it"
    BODY = "the rest of a body"
    NOTHING = "its request is whole"


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 (RFC 6585 §5) and closes when a head has not ended after ``MAX_HEAD`` bytes, and 408 (RFC 9110
    §15.5.9) when a head or a body has not ended in time.

    The read in which a head begins is not counted: its size is bounded (256 KiB). A request that comes in one read, as
    most do, starts no timer. Nothing is answered to a connection on which nothing was said, as browsers open them in
    advance, nor where an answer is under way: those are only closed. While the service itself does not read, its client
    is not late.
    """

    # Slots, because further names in its ``__dict__`` would make that 1.3 KB larger, for each connection.
    __slots__ = ("_awaited", "_emit", "_head_size", "_heads", "_phase", "_timer", "_waits")

    def __init__(self, *args: Any, waits: Waits = WAITS, emit: Emit = silent, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waits, self._emit = waits, emit

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._heads, self._head_size, self._phase = 0, 0, Phase.HEAD
        self._timer: asyncio.TimerHandle | None = None
        self._awaited = (self._phase, self._heads)
        super().connection_made(transport)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        self._await_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        head = self._heads if self._phase is Phase.HEAD else None
        super().data_received(data)
        if head == self._heads and self._phase is Phase.HEAD:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD and not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()
        if self._timer is not None or self._phase is not Phase.NOTHING:
            self._await()
        elif head is None and self._is_between() and self.timeout_keep_alive_task is None:
            self._phase = Phase.HEAD  # empty lines between two requests have ended uvicorn's own wait for the next
            self._await()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heads += 1
        self._phase, self._head_size = Phase.HEAD, 0

    def on_headers_complete(self) -> None:
        self._phase = Phase.BODY
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._phase = Phase.NOTHING
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """There is nothing to install: the service speaks no WebSocket. The request goes on as plain HTTP."""

    # --- time --------------------------------------------------------------------------------------------------------

    def _await(self) -> None:
        """See to a timer for what is awaited, and leave alone one that is for the same part of the same request."""
        awaited = (self._phase, self._heads)
        if self._timer is not None:
            if awaited == self._awaited:
                return
            self._await_nothing()
        if self._phase is Phase.NOTHING or self.transport.is_closing():
            return
        self._awaited = awaited
        seconds = self._waits.head if self._phase is Phase.HEAD else self._waits.body
        self._timer = self.loop.call_later(seconds, self._late)

    def _await_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self._await()
            return
        if self._heads:
            self._emit(Refused("slow_head" if self._phase is Phase.HEAD else "slow_body"))
            if not self._is_answering():
                self.transport.write(TOO_SLOW)
        self.transport.close()

    def _is_between(self) -> bool:
        """Whether no answer is awaited. Before the first request is read, uvicorn has none."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _is_answering(self) -> bool:
        """Whether bytes of an answer may be on their way, into which no other may be written."""
        if self._phase is Phase.HEAD:
            return not self._is_between()
        return bool(self.cycle.response_started) or bool(self.pipeline)
