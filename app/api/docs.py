"""``/docs``: one page of our own that shows the OpenAPI document. It loads nothing from anywhere else."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC = Path(__file__).with_name("static")
SCRIPTS = ("docs.js", "docs-curl.js", "docs-elements.js", "docs-schemas.js")
FILES = {
    "/docs": ("docs.html", "text/html"),
    **{f"/{name}": (name, "text/javascript") for name in SCRIPTS},
    "/docs.css": ("docs.css", "text/css"),
    "/docs.svg": ("docs.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def docs_routes() -> list[Route]:
    return [
        Route(path, _file(name, media_type), methods=["GET"], include_in_schema=False)
        for path, (name, media_type) in FILES.items()
    ]


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_request: Request) -> Response:
        return Response((STATIC / name).read_bytes(), media_type=media_type, headers=HEADERS)

    return serve
