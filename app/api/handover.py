"""How an open stream leaves the framework: its start passes all layers, its frames only the server."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from .wire import wired

HANDOVER = "pygents.handover"
"""Where in the ASGI scope the ``Handover`` is."""

Follow = Callable[[Receive], Awaitable[None]]
"""What is left of an open stream's call: it ends when the client or the stream does."""


class Handover:
    """What passes between the two ends of the middlewares: the server's own ``send`` in, an open stream out."""

    __slots__ = ("follow", "leave", "send")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.follow: Follow | None = None
        self.leave: Callable[[], None] = _nobody_to_leave


class DirectSend:
    """Outermost middleware: once it is open, a stream leaves the framework and goes on here, on the server's ``send``.

    That frees the framework's frames and scope for the life of the stream (more than 3 KB) and spares each send its
    wrappers. What lies in between sees a stream's start only: its call returns when the stream is open. Streams work
    without it too, but one whose client takes nothing can then only be ended by cancelling its call.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        handover = Handover(send)
        try:
            await self._app({**scope, HANDOVER: handover}, receive, wired(send))
        except BaseException:
            handover.leave()
            raise
        following = handover.follow(receive) if handover.follow is not None else None
        del scope, receive, send, handover
        if following is not None:
            await following


def _nobody_to_leave() -> None:
    """No stream was opened."""
