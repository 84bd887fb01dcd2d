"""Fan-out as most write it: Starlette, sse-starlette, and a queue per stream."""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pygents_app.model import Event
from pygents_app.streaming import sse
from tests.bench.contenders.feeding import Publishing

NO_PING = 3600
"""Seconds: pings to the streams of one contender would disturb the measuring of another."""

_sse_starlette: Any = import_module("sse_starlette")
_queues: set["asyncio.Queue[dict[str, str]]"] = set()


async def stream(request: Request) -> Response:
    response: Response = _sse_starlette.EventSourceResponse(_values(), ping=NO_PING)
    return response


async def publish(request: Request) -> Response:
    query = request.query_params
    _publishing.start(int(query["count"]), float(query["interval"]))
    return Response(status_code=202)


async def _values() -> AsyncIterator[dict[str, str]]:
    queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    _queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        _queues.discard(queue)


def _publish(event: Event) -> None:
    message = {"id": str(event.seq), "event": event.type.value, "data": sse.event_json(event).decode()}
    for queue in tuple(_queues):
        queue.put_nowait(message)


_publishing = Publishing(_publish)
app = Starlette(
    routes=[Route("/agents/{name}/stream", stream), Route("/agents/{name}/turns", publish, methods=["POST"])]
)
