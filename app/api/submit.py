"""Submitting a turn: the hot path, so a plain Starlette route. FastAPI's machinery costs more than all of this."""

import re

from starlette.requests import Request
from starlette.responses import Response

from ..clock import system_clock
from ..errors import InvalidRequest, MalformedHeader
from . import bodies, representations, standing
from .guard import CALLER
from .names import agent_name
from .requests import Submit
from .services import services

PATH = "/agents/{name}/turns"

MAX_KEY = 255
"""Characters of an Idempotency-Key."""

_KEY = re.compile(r"[!-~]{1,%d}" % MAX_KEY)  # noqa: UP031 - braces mean something else here


async def submit_turn(request: Request) -> Response:
    """Accept a turn; the answer comes once it is durable. With an Idempotency-Key it may be repeated safely."""
    its, name = services(request), agent_name(request.path_params["name"])
    if request.scope["query_string"]:
        raise _unknown(request)
    key = _idempotency_key(request)
    value = await bodies.read_json(request)
    asked = bodies.validate(Submit, value).request(system_clock)
    digest = bodies.digest(value) if key is not None else b""
    accepted = await its.submission.submit(name, [asked], caller=request.scope[CALLER], key=key, digest=digest)
    placed = accepted.turns[0]
    headers = {"Location": representations.turn_path(placed.turn)}
    if accepted.replayed:
        headers["Idempotency-Replayed"] = "true"
    content = await standing.turn_json(its, placed)
    return Response(content, 202, headers=headers, media_type="application/json")


def _idempotency_key(request: Request) -> str | None:
    """Raises MalformedHeader. What is in no header is None; an empty one is a mistake, not an absence."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise MalformedHeader(f"Idempotency-Key must be given once, as 1 to {MAX_KEY} visible ASCII characters.")
    return keys[0]


def _unknown(request: Request) -> InvalidRequest:
    errors = [{"pointer": name[:100], "detail": "not known here"} for name in request.query_params]
    return InvalidRequest("The query is not valid.", errors=errors)
