"""uvicorn's HTTP/1.1 protocol with a bound on the head of a request, which it lacks."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 1024
"""Bytes of request line and headers. A head without end would fill the memory long before any route sees it."""

TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
)
PROBLEM = (
    b'{"type":"urn:pygents:problem:head-too-large","title":"The head of the request is too large","status":431,'
    b'"detail":"Request line and headers may have 64 KiB together."}'
)


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 (RFC 6585 §5) and closes when a head has not ended after ``MAX_HEAD`` bytes.

    The read in which a head begins is not counted: its size is bounded (256 KiB).
    """

    # Slots, because further names in its ``__dict__`` would make that 1.3 KB larger, for each connection.
    __slots__ = ("_head_size", "_heads", "_in_head")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._heads, self._in_head, self._head_size = 0, True, 0
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        head = self._heads if self._in_head else None
        super().data_received(data)
        if head == self._heads and self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD and not self.transport.is_closing():
                self.transport.write(TOO_LARGE % (len(PROBLEM), PROBLEM))
                self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heads += 1
        self._in_head, self._head_size = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """There is nothing to install: the service speaks no WebSocket. The request goes on as plain HTTP."""
