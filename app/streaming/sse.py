"""Server-sent events as pure bytes (WHATWG HTML §9.2). No I/O, no state.

Only events of the log carry an id, because an id moves the client's resume point: pings, ``retry:``, ``stream.reset``
and ``stream.closing`` must not.
"""

import json
from typing import Final, Literal

from ..clock import to_rfc3339
from ..errors import MalformedCursor
from ..model import Event

PING: Final = b": ping\n\n"

Closing = Literal["draining", "unavailable", "busy"]
"""Why a stream is ended that could go on: all of them pass, so the client shall connect again."""

Reset = Literal["retention", "restored", "unknown"]
"""Why a cursor cannot be gone on from: its events are pruned, lost by a restore, or it is beyond the end of the log."""

# Line ends to some parsers of JSON lines and of JavaScript, so they never travel raw. A lead byte of UTF-8 never occurs
# inside another character, so replacing bytes is safe; in JSON these characters can only stand in strings.
_ESCAPES: Final = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def frame(event: Event) -> bytes:
    """An event as one frame: its seq as the id, its type as the name, its JSON as one line of data."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.type.encode(), event_json(event))


def event_json(event: Event) -> bytes:
    """An event as one line of JSON with all seven keys. ``event.data`` is spliced in, never decoded."""
    return b'{"seq":%d,"type":"%s","agent":%s,"turn_id":%s,"attempt":%s,"time":"%s","data":%s}' % (
        event.seq,
        event.type.encode(),
        b'"%s"' % event.agent.encode(),  # names and ids need no escapes
        b'"%s"' % event.turn_id.encode() if event.turn_id is not None else b"null",
        b"null" if event.attempt is None else b"%d" % event.attempt,
        to_rfc3339(event.time).encode(),
        one_line(event.data),
    )


def one_line(data: bytes) -> bytes:
    """The same JSON with nothing in it that any parser takes for a line end.

    In valid JSON a raw CR or LF can only be white space between tokens (RFC 8259 §7), so it may become a space.
    """
    if not data.isascii():
        for raw, escaped in _ESCAPES:
            data = data.replace(raw, escaped)
    return data.replace(b"\n", b" ").replace(b"\r", b" ")


def anchor(cursor: int) -> bytes:
    """A frame that only sets the client's last event id: without data nothing is dispatched (WHATWG HTML §9.2.6)."""
    return b"id: %d\n\n" % cursor


def retry(milliseconds: int) -> bytes:
    """How long the client waits before it connects again."""
    return b"retry: %d\n\n" % milliseconds


def reset(reason: Reset, cursor: int, earliest: int, latest: int) -> bytes:
    """Tell the client that what follows does not join on to its ``cursor``: the stream goes on from ``earliest``."""
    return _control("stream.reset", {"reason": reason, "cursor": cursor, "earliest": earliest, "latest": latest})


def closing(reason: Closing) -> bytes:
    """Tell the client that the stream ends for a cause that passes."""
    return _control("stream.closing", {"reason": reason})


def parse_cursor(given: str) -> int | None:
    """A sequence number: 1-18 ASCII digits, so that it fits 64 bits everywhere. Empty is absent.

    Raises ``MalformedCursor`` for all else that ``int()`` takes: signs, spaces, underscores, digits of other scripts.
    """
    if not given:
        return None
    if len(given) > 18 or not (given.isascii() and given.isdigit()):
        raise MalformedCursor(f"a cursor is 1 to 18 digits, not {given[:40]!r}")
    return int(given)


def _control(name: str, data: dict[str, str | int]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps(data, separators=(",", ":")).encode())
