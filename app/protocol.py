"""uvicorn's HTTP/1.1 protocol with bounds on what comes before a request is whole, which it lacks: bytes and seconds;
and with nothing written into an answer that is under way.

uvicorn itself closes a connection that is idle between two requests. Its bound on connections (limit_concurrency) is
not used: beyond it an open stream counts as a request, and answers are a 503 that no EventSource comes back from.
"""

import asyncio
from enum import Enum
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .api.heads import MOST_BYTES
from .api.problems import response
from .errors import HeadTooLarge, MalformedRequest, RequestTooSlow, ServiceError
from .telemetry import Emit, Refused, silent

MAX_PIPELINED = 100
"""Requests of one connection that may wait for the answers to those before. One read holds ten thousand small ones,
which take megabytes for as long as the first is a stream, or an answer that its client does not take."""


def _answer(error: ServiceError) -> bytes:
    """The whole answer as it goes over the wire; the connection ends with it."""
    made = response(error)
    fields = b"".join(b"%b: %b\r\n" % field for field in made.raw_headers)
    status = HTTPStatus(error.status)
    start = b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())
    return b"%b%bconnection: close\r\n\r\n%b" % (start, fields, bytes(made.body))


TOO_LARGE = _answer(HeadTooLarge("Request line and headers may have 64 KiB together."))
MALFORMED = _answer(
    MalformedRequest("What came is not a request of HTTP/1.1, or one that two readers may take differently.")
)
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


class TooManyPipelined(Exception):
    """Ends the reading of a connection."""


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 (RFC 6585 §5) and closes when a head, or the trailer of a body, has not ended after ``MOST_BYTES``
    bytes, and 408 (RFC 9110 §15.5.9) when a head or a body has not ended in time.

    The read in which a head or a trailer begins is not counted: its size is bounded (256 KiB). A request that comes in
    one read, as most do, starts no timer. What a trailer says is thrown away: it comes after the checks of a proxy, and
    must not pass for a header (RFC 9110 §6.5.1). Nothing is answered to a connection on which nothing was said, as
    browsers open them in advance, nor where an answer is under way: those are only closed. While the service itself
    does not read, its client is not late.

    A wish to speak otherwise (``Upgrade``) is not heard. The parser takes what comes after such a head for another
    protocol's, also where it is the body, and would go on in the middle of that: it is given the head again without it.
    """

    # Slots, because further names in its ``__dict__`` would make that 1.3 KB larger, for each connection.
    __slots__ = ("_awaited", "_emit", "_has_content", "_heads", "_phase", "_size", "_timer", "_waits")

    def __init__(self, *args: Any, waits: Waits = WAITS, emit: Emit = silent, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waits, self._emit = waits, emit

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._heads, self._size, self._phase = 0, 0, Phase.HEAD
        self._has_content = False
        self._timer: asyncio.TimerHandle | None = None
        self._awaited = (self._phase, self._heads)
        super().connection_made(transport)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        self._await_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        heads, phase, size, self._has_content = self._heads, self._phase, len(data), False
        self._unset_keepalive_if_required()
        try:
            while data:
                data = self._parse(data)
        except HttpParserError:
            self._refuse(MALFORMED)
        if heads == self._heads and phase is self._phase is not Phase.NOTHING and not self._has_content:
            self._size += size
            if self._size > MOST_BYTES:
                self._refuse(TOO_LARGE)
        if self._timer is not None or self._phase is not Phase.NOTHING:
            self._await()
        if self._phase is Phase.NOTHING and self._is_between() and self.timeout_keep_alive_task is None:
            self._await_next(phase)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heads += 1
        self._phase, self._size = Phase.HEAD, 0

    def on_headers_complete(self) -> None:
        """Raises ``TooManyPipelined``, and nothing more is read."""
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        self._phase, self._size = Phase.BODY, 0
        self.headers = []  # what comes now is a trailer's, and not the request's, which has the list so far
        if len(self.pipeline) > MAX_PIPELINED:
            raise TooManyPipelined

    def on_body(self, body: bytes) -> None:
        self._has_content, self._size = True, 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._phase = Phase.NOTHING
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Nothing further is read while requests wait: uvicorn would go on after each answer."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def _parse(self, data: bytes) -> bytes:
        """What has to be parsed then. Raises ``HttpParserError``."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return self._head_without_upgrade() + data[upgrade.args[0] :]
        return b""

    def _head_without_upgrade(self) -> bytes:
        """For a parser of its own. Raises ``HttpParserError`` for a tunnel (CONNECT), which is nothing else."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise HttpParserError("there is no tunnel here")
        fields = [field for field in self.headers if field[0] not in (b"upgrade", b"connection")]
        if not self.parser.should_keep_alive():
            fields.append((b"connection", b"close"))
        version = self.parser.get_http_version().encode()
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        lines = b"".join(b"%b: %b\r\n" % field for field in fields)
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, lines)

    def _refuse(self, answer: bytes) -> None:
        """The connection ends with this answer, or without one where another is under way."""
        if self.transport.is_closing():
            return
        if not self._is_answering():
            self.transport.write(answer)
        self.transport.close()

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

    def _await_next(self, phase: Phase) -> None:
        """Nothing else ends the connection: what has come in ``phase`` has ended uvicorn's own wait for a request."""
        if phase is Phase.BODY:  # of a request that was answered before that
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:  # empty lines, which may come again and again
            self._phase = Phase.HEAD
            self._await()

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
            self._refuse(TOO_SLOW)
        self.transport.close()

    def _is_between(self) -> bool:
        """Whether no answer is awaited. Before the first request is read, uvicorn has none."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _is_answering(self) -> bool:
        """Whether bytes of an answer may be on their way, into which no other may be written."""
        if self._phase is Phase.BODY:
            return bool(self.cycle.response_started) or bool(self.pipeline)
        return not self._is_between()
