"""Fan-out as most write it: Starlette, sse-starlette, and a queue per stream."""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pygents_app.streaming import sse
from tests.bench.contenders.raw_stream import frames

_sse_starlette: Any = import_module("sse_starlette")
_queues: set["asyncio.Queue[dict[str, str]]"] = set()
_publishing: set["asyncio.Task[None]"] = set()


async def stream(request: Request) -> Response:
    response: Response = _sse_starlette.EventSourceResponse(_values())
    return response


async def publish(request: Request) -> Response:
    query = request.query_params
    task = asyncio.create_task(_publish(int(query["count"]), float(query["interval"])))
    _publishing.add(task)
    task.add_done_callback(_publishing.discard)
    return Response(status_code=202)


async def _values() -> AsyncIterator[dict[str, str]]:
    queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    _queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        _queues.discard(queue)


async def _publish(count: int, interval: float) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for index, event in enumerate(frames(count)):
        if interval:
            await asyncio.sleep(start + (index + 1) * interval - loop.time())
        message = {"id": str(event.seq), "event": event.type.value, "data": sse.event_json(event).decode()}
        for queue in tuple(_queues):
            queue.put_nowait(message)


app = Starlette(
    routes=[Route("/agents/{name}/stream", stream), Route("/agents/{name}/turns", publish, methods=["POST"])]
)
