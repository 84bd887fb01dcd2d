"""Fan-out with FastAPI's own server-sent events: a path operation that yields, and a queue per stream.

The events are made once for all streams, their data encoded already (``raw_data``): the way that costs it least.
"""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module

from fastapi import FastAPI, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from pygents_app.model import Event
from pygents_app.streaming import sse
from tests.bench.contenders.feeding import Publishing

# Pings to the streams of one contender would disturb the measuring of another; there is no setting for it.
vars(import_module("fastapi.routing"))["_PING_INTERVAL"] = 3600.0

app = FastAPI()
_queues: set["asyncio.Queue[ServerSentEvent]"] = set()


@app.get("/agents/{name}/stream", response_class=EventSourceResponse)
async def stream(name: str) -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
    _queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        _queues.discard(queue)


@app.post("/agents/{name}/turns", status_code=202)
async def publish(name: str, count: int, interval: float) -> Response:
    _publishing.start(count, interval)
    return Response(status_code=202)


def _publish(event: Event) -> None:
    message = ServerSentEvent(id=str(event.seq), event=event.type.value, raw_data=sse.event_json(event).decode())
    for queue in tuple(_queues):
        queue.put_nowait(message)


_publishing = Publishing(_publish)
