"""Puts the HTTP side together: the app, what every request passes first, the routes, the errors."""

from typing import Any, cast

from fastapi import FastAPI
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan

from ..auth import AdminKey
from . import agents, operations, problems, submit, tools, turns
from .description import DESCRIPTION, describe, package_version, serve_openapi
from .docs import docs_routes
from .events import event_routes
from .guard import Guard, bound_hosts
from .guide import guide_routes
from .handover import DirectSend
from .head import HeadAsGet
from .services import Services
from .streams import stream_routes


class Application(FastAPI):
    """FastAPI without its own documentation pages (they load code from a CDN), and with our OpenAPI document."""

    def __init__(self, *, lifespan: Lifespan[Any] | None = None) -> None:
        super().__init__(
            title="pygents", version=package_version(), description=DESCRIPTION,
            openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan,
            # Only to ask whether it is on costs a tenth of the HTTP side of a submit.
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )  # fmt: skip
        self.router.routes.extend(_routes())
        problems.install(self)

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = describe(self)
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """Streams leave the middlewares once they are open; what takes them over is outermost."""
        return DirectSend(super().build_middleware_stack())


def install(app: Application, services: Services) -> None:
    """Let ``app`` answer with these services. Once, before it starts."""
    settings = services.settings
    key = settings.admin_key.get_secret_value() if settings.admin_key is not None else None
    app.state.services = services
    app.router.routes.extend(event_routes(reads=services.store))
    app.router.routes.extend(stream_routes(reads=services.store, hub=services.hub))
    app.add_middleware(cast(Any, HeadAsGet))
    app.add_middleware(
        cast(Any, Guard),
        key=AdminKey(key),
        max_body=settings.max_body,
        allowed_hosts=(*bound_hosts(settings.host), *settings.allowed_hosts),
        any_host=not settings.loopback and not settings.allowed_hosts,
    )


def _routes() -> list[BaseRoute]:
    """The hottest first: routes are tried in this order."""
    return [
        Route(submit.PATH, submit.submit_turn, methods=["POST"], include_in_schema=False),
        Route(submit.BATCH_PATH, submit.submit_batch, methods=["POST"], include_in_schema=False),
        Route(submit.RETRY_PATH, submit.retry_turn, methods=["POST"], include_in_schema=False),
        *(route for noun in (turns, agents, tools, operations) for route in noun.router.routes),
        Route("/openapi.json", serve_openapi, methods=["GET"], include_in_schema=False),
        *docs_routes(),
        *guide_routes(),
    ]
