"""The server's side of a connection, as far as the server shows it: whether it is closed, and how to cut it.

ASGI tells a call of the client's leaving by ``receive`` alone, and uvicorn tells it only to the newest call of a
connection: a client that has sent another request behind the one that is still being answered leaves unnoticed.
"""

import asyncio
from typing import Any, cast

from starlette.types import Receive, Scope, Send

from .handover import HANDOVER


class Connection:
    """Made of the server's own ``send``, in the task of the call. uvicorn's is a method of what makes one answer."""

    __slots__ = ("_answer", "_task", "_transport")

    def __init__(self, send: Send) -> None:
        self._answer: Any = getattr(send, "__self__", None)
        self._transport: Any = getattr(self._answer, "transport", None)
        self._task = cast("asyncio.Task[None] | None", asyncio.current_task())

    @property
    def closed(self) -> bool:
        return self._transport is not None and bool(self._transport.is_closing())

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
    """A client that waits for a plain answer (``streaming.leaving.Client``)."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.receive = receive
        handover = scope.get(HANDOVER)
        self._connection = Connection(handover.send) if handover is not None else None

    @property
    def closed(self) -> bool:
        return self._connection is not None and self._connection.closed
