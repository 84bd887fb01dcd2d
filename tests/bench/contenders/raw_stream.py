"""Fan-out as raw ASGI applications: no log, no resuming, nothing but sends.

``app``: the publisher awaits one ``send`` per stream and frame. ``joined``: frames are gathered until the loop gets
round to it, and go to each stream in one ``send``, as the service does; so a burst is one send.
"""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from pygents_app.model import Event
from pygents_app.streaming import sse
from tests.bench.contenders.feeding import Publishing


class RawStream:
    """``GET …/stream`` opens a stream; ``POST ?count=&interval=`` publishes; all else only answers."""

    def __init__(self, make: Callable[[set[Send]], Callable[[Event], Awaitable[None] | None]]) -> None:
        self._streams: set[Send] = set()
        self._publishing = Publishing(make(self._streams))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/stream"):
            await self._stream(receive, send)
            return
        if scope["method"] == "POST":
            query = parse_qs(scope["query_string"].decode())
            self._publishing.start(int(query["count"][0]), float(query["interval"][0]))
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
        self._streams.add(send)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._streams.discard(send)


async def _send(streams: set[Send], body: bytes) -> None:
    for send in tuple(streams):
        await send({"type": "http.response.body", "body": body, "more_body": True})


def one_by_one(streams: set[Send]) -> Callable[[Event], Awaitable[None]]:
    return lambda event: _send(streams, sse.frame(event))


def all_that_is_there(streams: set[Send]) -> Callable[[Event], None]:
    frames: list[bytes] = []
    sending: set[asyncio.Task[None]] = set()

    def flush() -> None:
        task = asyncio.create_task(_send(streams, b"".join(frames)))
        frames.clear()
        sending.add(task)
        task.add_done_callback(sending.discard)

    def publish(event: Event) -> None:
        if not frames:
            asyncio.get_running_loop().call_soon(flush)
        frames.append(sse.frame(event))

    return publish


app = RawStream(one_by_one)
joined = RawStream(all_that_is_there)
