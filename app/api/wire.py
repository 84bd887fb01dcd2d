"""Answers that leave in one write: the head waits for the body, and goes with it if that comes whole.

uvicorn writes a head at once, so that a short answer takes two system calls here and two reads at the client. ASGI
leaves the time of the head to the server, so that whoever stands before the server may take it, too.
"""

import string
from itertools import chain
from typing import Any, NamedTuple

from starlette.types import Message, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_TEXT = bytes({ord("\t"), *range(0x20, 0x7F), *range(0x80, 0x100)})
"""What the value of a field may have (RFC 9110 §5.5)."""
_TOKEN = (string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode()
"""What its name may have (RFC 9110 §5.6.2)."""
_NOT_PLAIN = frozenset({b"connection", b"transfer-encoding"})


class _Held(NamedTuple):
    """The start of an answer, the same as bytes, and how many bytes its body shall have."""

    start: Message
    head: bytes
    length: int


class Wire:
    """``send`` for one answer of uvicorn's, made of uvicorn's own.

    All else stays uvicorn's: bodies in pieces, HEAD, the last answer of a connection, clients that do not read, and
    whatever is wrong with an answer.
    """

    __slots__ = ("_answer", "_held", "_send")

    def __init__(self, send: Send, answer: RequestResponseCycle) -> None:
        self._send, self._answer = send, answer
        self._held: _Held | None = None

    async def send(self, message: Message) -> None:
        if self._answer.transport.is_closing():  # uvicorn tells it to the newest call of a connection only
            self._answer.disconnected = True
        held = self._held
        if held is None:
            if message["type"] == "http.response.start":
                self._held = _hold(message, self._answer.default_headers)
                if self._held is not None:
                    return
        else:
            self._held = None
            body = message.get("body", b"")
            if len(body) == held.length and not message.get("more_body") and self._is_open:
                self._write(held.head + body)
                return
            await self._send(held.start)
        await self._send(message)

    @property
    def _is_open(self) -> bool:
        answer = self._answer
        blocked = answer.flow.write_paused or answer.disconnected or answer.response_started
        return answer.keep_alive and not blocked and answer.scope["method"] != "HEAD"

    def _write(self, whole: bytes) -> None:
        """As uvicorn's own ``send`` does it, at the end of a body."""
        answer = self._answer
        answer.transport.write(whole)
        answer.response_started = answer.response_complete = True
        answer.waiting_for_100_continue = False
        answer.message_event.set()
        answer.on_response()


def wired(send: Send) -> Send:
    """``send``, in one write where the server is uvicorn's with httptools; that of any other is what it was.

    It does what uvicorn's own does at the end of an answer; the tests compare the two.
    """
    answer: Any = getattr(send, "__self__", None)
    return Wire(send, answer).send if type(answer) is RequestResponseCycle else send


def _hold(start: Message, default: list[tuple[bytes, bytes]]) -> _Held | None:
    """None if the head should leave by itself."""
    pieces: list[bytes] = []
    length = -1
    for name, value in chain(default, start.get("headers", ())):
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name in _NOT_PLAIN:
            return None
        pieces += (name, b": ", value, b"\r\n")
    fields = b"".join(pieces)
    if length < 0 or not _well_formed(fields, names=pieces[::4]):
        return None
    return _Held(start, b"%b%b\r\n" % (STATUS_LINE[start["status"]], fields), length)


def _well_formed(fields: bytes, *, names: list[bytes]) -> bool:
    """Whether there is a line for each name, and no more: a line end within a value would begin another."""
    return fields.translate(None, _TEXT) == b"\r\n" * len(names) and not b"".join(names).translate(None, _TOKEN)
