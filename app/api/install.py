"""Puts the HTTP side together: the app, what every request passes first, the routes, the errors."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from . import agents, audit, explanations, keys, operations, problems, session, stream_tickets, tools, turns
from .access_log import AccessLog, Exchanges
from .cors import Cors
from .description import DESCRIPTION, describe, package_version, serve_openapi
from .docs import docs_routes
from .entrance import Entrance
from .events import event_routes
from .guard import Guard, bound_hosts
from .guide import guide_routes
from .handover import DirectSend
from .head import HeadAsGet
from .readiness import Readiness
from .services import Services
from .shortcut import Shortcut
from .streams import stream_routes
from .submit import submit_routes
from .turnstile import Turnstile

Layer = Callable[[ASGIApp], ASGIApp]


class Application(FastAPI):
    """FastAPI without its own documentation pages (they load code from a CDN), and with our OpenAPI document."""

    def __init__(self, *, lifespan: Lifespan[Any] | None = None) -> None:
        super().__init__(
            title="pygents", version=package_version(), description=DESCRIPTION,
            openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan,
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )  # fmt: skip
        self.router.routes.extend(_routes())
        self.layers: Sequence[Layer] = ()
        problems.install(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the framework's, without what it looks at on the way for each request."""
        if scope["type"] != "http" or self.middleware_stack is None or self.root_path:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = describe(self)
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """The framework's own, and around it ``layers``, the outermost first."""
        stack = super().build_middleware_stack()
        if self.layers and isinstance(stack, ServerErrorMiddleware):
            stack = stack.app  # it answers what nobody has caught, which the guard does
        for layer in reversed(self.layers):
            stack = layer(stack)
        return stack


def install(app: Application, services: Services) -> None:
    """Let ``app`` answer with these services. Once, before it starts."""
    settings = services.settings
    app.state.services = services
    app.state.readiness = Readiness(dispatcher=services.dispatcher, check=services.store.check)
    hot = [*submit_routes(services), *stream_routes(reads=services.store, hub=services.hub)]
    app.router.routes.extend((*hot, *event_routes(reads=services.store)))
    plain = [route for route in app.router.routes if isinstance(route, Route) and not isinstance(route, APIRoute)]
    exchanges = Exchanges(access=AccessLog(settings.access_log), hot=hot, plain=plain, emit=services.emit)
    turnstile = Turnstile(rates=services.rates, emit=services.emit)
    app.state.entrance = entrance = Entrance(
        gate=services.gate, sessions=services.sessions, turnstile=turnstile, tokens=services.tokens
    )
    guard = partial(
        Guard,
        ended=exchanges.ended,
        entrance=entrance,
        tickets=services.tickets,
        turnstile=turnstile,
        max_body=settings.max_body,
        allowed_hosts=(*bound_hosts(settings.host), *settings.allowed_hosts),
        cors=Cors(settings.cors_origins),
        any_host=not settings.loopback and not settings.allowed_hosts,
    )
    # Streams leave all of them once they are open: what takes them over is outermost.
    app.layers = (DirectSend, guard, partial(Shortcut, routes=hot), HeadAsGet)


def _routes() -> list[BaseRoute]:
    return [
        *(
            route
            for noun in (turns, agents, tools, explanations, keys, session, stream_tickets, audit, operations)
            for route in noun.router.routes
        ),
        Route("/openapi.json", serve_openapi, methods=["GET"], include_in_schema=False),
        *docs_routes(),
        *guide_routes(),
    ]
