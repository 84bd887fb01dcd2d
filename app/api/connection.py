"""The server's side of a connection, as far as the server shows it: whether it is closed, how to cut it, and its wire.

ASGI tells a call of the client's leaving by ``receive`` alone, and uvicorn tells it only to the newest call of a
connection: a client that has sent another request behind the one that is still being answered leaves unnoticed.
"""

import asyncio
from typing import Any, cast

from starlette.types import Receive, Scope, Send

from .caller import principal_of
from .handover import HANDOVER


class Connection:
    """Made of the server's own ``send``, in the task of the call. uvicorn's is a method of what makes one answer.

    Made when the answer has been started, it can write to the wire: the piece of a chunked body (RFC 9112 §7.1) that
    uvicorn would make of it anew for each of thousands of streams.
    """

    __slots__ = ("_answer", "_flow", "_task", "_transport")

    def __init__(self, send: Send) -> None:
        self._answer: Any = getattr(send, "__self__", None)
        self._transport: Any = getattr(self._answer, "transport", None)
        self._flow: Any = getattr(self._answer, "flow", None) if _is_chunked(self._answer) else None
        self._task = cast("asyncio.Task[None] | None", asyncio.current_task())

    @property
    def closed(self) -> bool:
        return self._transport is not None and bool(self._transport.is_closing())

    def write(self, body: bytes) -> bool:
        """The server's own bound holds: it pauses writing where its buffer for the client has more than 64 KiB."""
        if self._flow is None or self._flow.write_paused or self._transport.is_closing():
            return False
        self._transport.write(_chunks.chunk(body))
        return True

    def cut(self) -> None:
        """Close it at once, unsent bytes or not, and let the call know: closing in order would wait for the client.

        Where the server shows nothing, the call is cancelled.
        """
        if self._transport is None:
            if self._task is not None:
                self._task.cancel()
            return
        self._transport.abort()
        if hasattr(self._answer, "disconnected") and hasattr(self._answer, "message_event"):
            self._answer.disconnected = True
            self._answer.message_event.set()


class Waiter:
    """A client that waits for a plain answer (``streaming.leaving.Client``). ``holder`` is what it was admitted by."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.receive, self.holder = receive, principal_of(scope).holder
        handover = scope.get(HANDOVER)
        self._connection = Connection(handover.send) if handover is not None else None

    @property
    def closed(self) -> bool:
        return self._connection is not None and self._connection.closed


class _Chunks:
    """The last body with its chunk: most streams get what the one before got."""

    def __init__(self) -> None:
        self._last = (b"", b"")

    def chunk(self, body: bytes) -> bytes:
        known, chunk = self._last
        if known is not body:
            chunk = b"%x\r\n%b\r\n" % (len(body), body)
            self._last = (body, chunk)
        return chunk


_chunks = _Chunks()


def _is_chunked(answer: object) -> bool:
    """Whether it is uvicorn's, with httptools, under way, its body in chunks; on any change there the answer is no."""
    known = (getattr(answer, name, None) for name in ("response_started", "chunked_encoding"))
    flow = getattr(answer, "flow", None)
    is_http = type(answer).__module__ == "uvicorn.protocols.http.httptools_impl"
    return is_http and all(each is True for each in known) and hasattr(flow, "write_paused")
