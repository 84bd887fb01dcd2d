"""The ``data`` of each event type, as JSON bytes: pieces that arrive encoded are joined, never encoded again."""

import json
from collections.abc import Sequence
from json.encoder import encode_basestring

from .clock import to_rfc3339
from .model import CancelRequest, Outcome, TurnRef, TurnSpec

INLINE_LIMIT = 64 * 1024
"""Bytes. Larger args, kwargs, metadata and output are null in events and lists; GET of the turn has them whole."""


def text(value: str | None) -> bytes:
    """A string (or null) as JSON."""
    # Lone surrogates, which no JSON may carry, come from other people's error messages: they become question marks.
    return b"null" if value is None else encode_basestring(value).encode(errors="replace")


def inline(*, most: int = INLINE_LIMIT, **pieces: bytes | None) -> tuple[dict[str, bytes], list[str]]:
    """The pieces with the large ones replaced by null, and the names of those."""
    truncated = [name for name, piece in pieces.items() if piece is not None and len(piece) > most]
    shown = {name: b"null" if piece is None or name in truncated else piece for name, piece in pieces.items()}
    return shown, truncated


def members(pieces: dict[str, bytes], truncated: Sequence[str] = ()) -> bytes:
    if truncated:
        pieces = {**pieces, "truncated": json.dumps(list(truncated)).encode()}
    return b"{" + b",".join([b'"%s":%s' % (name.encode(), piece) for name, piece in pieces.items()]) + b"}"


def plain(value: object) -> bytes:
    """A value that is still to be encoded. Names and labels may hold lone surrogates no more than ``text`` may."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def ref(parent: TurnRef | None) -> bytes:
    return b"null" if parent is None else members({"agent": text(parent.agent), "id": text(parent.id)})


def moment(micros: int | None) -> bytes:
    return b"null" if micros is None else b'"%s"' % to_rfc3339(micros).encode()


def error(type_: str, message: str) -> bytes:
    """``{type, message}``: an exception's class name, or in lower case one of the service's own causes."""
    return members({"type": text(type_), "message": text(message)})


def restored(after: int) -> bytes:
    """``after``: the last event that the backup had. The numbers between are not used."""
    return b'{"after":%d}' % after


_QUEUED = b'{"tool":%s,"args":%s,"kwargs":%s,"metadata":%s,"not_before":%s,"parent":%s%s}'


def queued(spec: TurnSpec) -> bytes:
    rest = (moment(spec.not_before), ref(spec.parent))
    if len(spec.args) + len(spec.kwargs) + len(spec.metadata) <= INLINE_LIMIT:
        return _QUEUED % (text(spec.tool), spec.args, spec.kwargs, spec.metadata, *rest, b"")
    shown, truncated = inline(args=spec.args, kwargs=spec.kwargs, metadata=spec.metadata)
    named = b',"truncated":%s' % json.dumps(truncated).encode() if truncated else b""
    return _QUEUED % (text(spec.tool), shown["args"], shown["kwargs"], shown["metadata"], *rest, named)


def value(index: int, encoded: bytes) -> bytes:
    return b'{"index":%d,"value":%s}' % (index, encoded)


def retrying(encoded_error: bytes, at: int, supersedes: Sequence[tuple[int, int]]) -> bytes:
    """``supersedes``: ranges of sequence numbers; the turn's values in them count no more."""
    ranges = b",".join(b"[%d,%d]" % pair for pair in supersedes)
    return members({"error": encoded_error, "next_attempt_at": moment(at), "supersedes": b"[" + ranges + b"]"})


def completed(outcome: Outcome, values: int, returned: str | None) -> bytes:
    shown, truncated = inline(output=outcome.output)
    rest = {"values": b"%d" % values} | ({"next": text(returned)} if returned else {})
    return members({**shown, **rest}, truncated)


def failed(encoded_error: bytes | None) -> bytes:
    return members({"error": encoded_error or b"null"})


def timed_out(timeout: float) -> bytes:
    return members({"timeout": json.dumps(timeout).encode()})


def cancelled(request: CancelRequest) -> bytes:
    return members({"by": text(request.by), "reason": text(request.reason)})
