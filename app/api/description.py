"""What the application says of itself, and ``/openapi.json``. The document is made when somebody first asks for it."""

import json
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from .documents import JSON

DESCRIPTION = """\
Agents that live long: post a turn to an agent, and follow its events live from any point.

Every error is `application/problem+json` with a stable `type`. The stream's contract is in `openapi/events.md`.

An address that does not exist is answered 404 (`urn:pygents:problem:not-found`), a method that an address does not
know 405 (`urn:pygents:problem:method-not-allowed`), with the header `Allow`.
"""


@cache
def package_version() -> str:
    return version("pygents")


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document. Nothing of it depends on settings or on what is registered."""
    from . import openapi  # noqa: PLC0415 (its models only describe, and to build them takes a tenth of the start)

    return openapi.describe(app)


async def serve_openapi(request: Request) -> Response:
    return Response(_encoded(request.app), media_type=JSON)


@cache
def _encoded(app: FastAPI) -> bytes:
    return json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()
