"""What the contenders of the fan-out publish: the events of one turn, frame for frame what the service sends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from pygents_app import payloads
from pygents_app.model import Event, EventType, Outcome, TurnSpec, TurnStatus

TURN_ID = "00000000-0000-7000-8000-000000000000"


async def events(count: int, interval: float) -> AsyncIterator[Event]:
    """A turn that yields ``count`` values, one every ``interval`` seconds; without one there is nothing to wait for."""
    spec = TurnSpec(TURN_ID, "a0", "feed", kwargs=_json({"count": count, "interval": interval}))
    yield _event(1, EventType.TURN_QUEUED, payloads.queued(spec))
    yield _event(2, EventType.TURN_STARTED, b"{}")
    loop = asyncio.get_running_loop()
    start, values = loop.time(), []
    for index in range(count):
        if interval:
            await asyncio.sleep(start + (index + 1) * interval - loop.time())
        values.append(_json({"text": "a piece of a long answer", "n": index, "at": time.time_ns() // 1000}))
        yield _event(index + 3, EventType.TURN_VALUE, payloads.value(index, values[-1]))
    outcome = Outcome(TurnStatus.COMPLETED, output=b"[" + b",".join(values) + b"]")
    yield _event(count + 3, EventType.TURN_COMPLETED, payloads.completed(outcome, count, None))


class Publishing:
    """Publishes turns as they are asked for, each in a task of its own, which nothing else would keep."""

    def __init__(self, publish: Callable[[Event], Any]) -> None:
        self._publish = publish
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, count: int, interval: float) -> None:
        task = asyncio.create_task(self._run(count, interval))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, count: int, interval: float) -> None:
        async for event in events(count, interval):
            sending = self._publish(event)
            if sending is not None:
                await sending


def _event(seq: int, type_: EventType, data: bytes) -> Event:
    return Event("a0", seq, type_, TURN_ID, 1, time.time_ns() // 1000, data)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
