"""Fan-out as a raw ASGI application: the publisher awaits one ``send`` per stream and value. No log, no resuming.

Each frame has the very bytes that the service sends for the same value.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from pygents_app.model import Event, EventType
from pygents_app.streaming import sse

TURN_ID = "00000000-0000-7000-8000-000000000000"

_streams: set[Send] = set()
_publishing: set["asyncio.Task[None]"] = set()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """``GET …/stream`` opens a stream; ``POST ?count=&interval=`` publishes; all else only answers."""
    if scope["path"].endswith("/stream"):
        await _stream(receive, send)
        return
    if scope["method"] == "POST":
        query = parse_qs(scope["query_string"].decode())
        task = asyncio.create_task(_publish(int(query["count"][0]), float(query["interval"][0])))
        _publishing.add(task)
        task.add_done_callback(_publishing.discard)
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _stream(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
    _streams.add(send)
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        _streams.discard(send)


def frames(count: int) -> Iterator[Event]:
    """The events of a turn that yields ``count`` values."""
    for index in range(count):
        value = {"index": index, "value": {"text": "a piece of a long answer", "n": index}}
        data = json.dumps(value, separators=(",", ":")).encode()
        yield Event("a0", index + 3, EventType.TURN_VALUE, TURN_ID, 1, time.time_ns() // 1000, data)


async def _publish(count: int, interval: float) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for index, event in enumerate(frames(count)):
        if interval:
            await asyncio.sleep(start + (index + 1) * interval - loop.time())
        body = sse.frame(event)
        for send in tuple(_streams):
            await send({"type": "http.response.body", "body": body, "more_body": True})
