"""Errors as RFC 9457 problem bodies: one place, for routes, middleware and the framework's own errors alike.

``type`` is a stable URN, ``urn:pygents:problem:<slug>``; the slug is the error class's ``type``, and the header
``Link`` leads to its explanation, ``/problems/<slug>``. A problem never holds the text of an unexpected exception, a
traceback, a path or SQL.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from time import monotonic

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from ..errors import InvalidRequest, MethodNotAllowed, NotFound, ServiceError
from ..explanations.entry import URN
from .invalid import of_parameters

MEDIA_TYPE = "application/problem+json"
NOWHERE = "There is nothing at this address. GET /openapi.json lists what there is."

log = logging.getLogger(__name__)
_told: dict[str, int] = {}
"""In which second of the monotonic clock an error that passes was last told, by its type."""


def response(error: ServiceError) -> Response:
    """The answer for an error, with the headers that it carries."""
    members = {
        "type": URN + error.type,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        **error.fields,
    }
    body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    headers = {**error.headers, "Link": f'</problems/{error.type}>; rel="help"'}
    return Response(body, error.status, headers=headers, media_type=MEDIA_TYPE)


def answer_of(error: ServiceError) -> Response:
    """The same for an error of a route; the log is told of what clients can do nothing about."""
    if type(error).status >= HTTPStatus.INTERNAL_SERVER_ERROR and _is_told(error):
        log.warning("%s: %s", error.type, error.detail)
    return response(error)


def _is_told(error: ServiceError) -> bool:
    """What passes by itself befalls every request meanwhile: it has one line a second."""
    if type(error).status != HTTPStatus.SERVICE_UNAVAILABLE:
        return True
    second = int(monotonic())
    told, _told[error.type] = _told.get(error.type), second
    return told != second


def unexpected(request_id: str) -> Response:
    """The answer for a defect of ours. What happened is in the log, under the same id."""
    return response(ServiceError(f"Something went wrong here. The log tells more under request id {request_id}."))


def install(app: FastAPI) -> None:
    """Answer every error of the routes of ``app`` with a problem."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(HTTPException, _http_exception)


async def _service_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101
    return answer_of(error)


async def _invalid_parameters(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return response(InvalidRequest("The query is not valid.", errors=of_parameters(error.errors())))


async def _http_exception(request: Request, error: Exception) -> Response:
    """The framework's own: 404 and 405 of its router."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = _allowed(request)
        detail = f"{request.method} is not allowed here; allowed: {allowed}."
        return response(MethodNotAllowed(detail, headers={"Allow": allowed}))
    if error.status_code == HTTPStatus.NOT_FOUND:
        return response(NotFound(NOWHERE))
    status = HTTPStatus(error.status_code)
    members = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": status.description}
    return Response(json.dumps(members), status.value, headers=_headers(error), media_type=MEDIA_TYPE)


def _allowed(request: Request) -> str:
    """The methods of all routes at this path; the router itself knows those of the first one only."""
    routes = request.app.router.routes
    found = (getattr(route, "methods", None) or () for route in routes if route.matches(request.scope)[0] != Match.NONE)
    methods = {method for methods in found for method in methods}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _headers(error: HTTPException) -> Mapping[str, str]:
    return error.headers or {}
