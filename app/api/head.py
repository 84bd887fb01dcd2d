"""HEAD wherever GET is (RFC 9110 §9.3.2): FastAPI's own routes know GET alone."""

from starlette.types import ASGIApp, Receive, Scope, Send

STREAMS = "/stream"
"""Paths that end so answer HEAD themselves: as GET they would not come to an end."""


class HeadAsGet:
    """Answers HEAD as GET. Servers leave the content out by themselves, as they must."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and not scope["path"].endswith(STREAMS):
            await self._as_get(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _as_get(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the router finds out is told to whoever asked for HEAD."""
        get = {**scope, "method": "GET"}
        try:
            await self._app(get, receive, send)
        finally:
            scope.update({**get, "method": "HEAD"})
