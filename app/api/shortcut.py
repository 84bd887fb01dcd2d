"""The way of the hottest routes: from the guard straight to their endpoints, past the layers of the framework.

They are routes of the application like all others, and the router would find them, too; but what lies in between costs
as much as accepting a turn does.
"""

from collections.abc import Callable, Collection, Sequence
from re import Match

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Shortcut:
    """Answers what one of ``routes`` matches, whose endpoints are ASGI applications; all else goes to ``app``.

    What an endpoint raises is for the layers outside of this one to answer.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[Route]) -> None:
        self._app = app
        self._routes: list[tuple[Callable[[str], Match[str] | None], Collection[str], ASGIApp]] = [
            (route.path_regex.match, route.methods or frozenset(), route.app) for route in routes
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope.get("root_path"):
            path, method = scope["path"], scope["method"]
            for match, methods, endpoint in self._routes:
                if method in methods and (found := match(path)):
                    scope["path_params"] = found.groupdict()
                    await endpoint(scope, receive, send)
                    return
        await self._app(scope, receive, send)
