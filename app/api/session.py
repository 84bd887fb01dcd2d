"""``/session``: a browser signs in with a key, and has a cookie from then on that no script of its pages can read."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive
from starlette.types import Scope as AsgiScope

from ..access.records import Entry
from ..auth import ANONYMOUS, Gate, Principal
from ..clock import to_rfc3339
from ..errors import BodyTooLarge
from ..grants import Grant, Names, Scope
from . import bodies
from .access_bodies import SignIn
from .access_documents import SESSION, SIGN_IN, SIGN_OUT
from .caller import CALLER, PRINCIPAL, entry, principal_of
from .cookies import begin_cookie, end_cookie, is_foreign, presented
from .documents import JSON, responses
from .entrance import NOBODY, Entrance, foreign, unauthorized
from .heads import heads_of
from .queries import NoQuery
from .services import services

MOST_BYTES = 64 * 1024
"""Of a body without any other credential. The longest key is a quarter of it."""
router = APIRouter(tags=["access"], redirect_slashes=False)


@router.get("/session", operation_id="getSession", responses=responses(SESSION))
async def get_session(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """Who one is, and until when, by whatever one has sent. `401`: one has to sign in."""
    return _json(_shown(principal_of(request.scope), services(request).gate))


@router.post("/session", operation_id="signIn", status_code=201, **SIGN_IN)
async def sign_in(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """Take a key, in the body or as for any other request, for a cookie: `HttpOnly`, `SameSite=Strict`.

    It allows what the key allows, to pages of the service's own origin, until it is signed out, the key is void, 12
    hours have passed without a request, or 7 days in any case. What the browser was signed in with before ends.
    """
    its, heads = services(request), heads_of(request.scope)
    if is_foreign(heads):
        raise foreign("Only a page of this service's own origin may sign its browser in.")
    principal = await _who(request)
    if principal.id == ANONYMOUS:
        return _json(_shown(principal, its.gate))
    request.scope[PRINCIPAL], request.scope[CALLER] = principal, principal.id
    before = presented(heads)
    token, principal = await its.sessions.begin(
        principal, scopes_of(principal), entry=_logged(request.scope, "signIn"),
        replaces=before.token if before is not None else b"",
    )  # fmt: skip
    return _json(_shown(principal, its.gate), 201, {"Set-Cookie": begin_cookie(token, heads)})


@router.delete("/session", operation_id="signOut", status_code=204, **SIGN_OUT)
async def sign_out(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """End the session of the cookie, and with it its streams and tickets. With a key instead, nothing ends."""
    principal, heads = principal_of(request.scope), heads_of(request.scope)
    if not principal.by_session:
        return Response(status_code=204)
    cookie = presented(heads)
    await services(request).sessions.end(principal, _logged(request.scope, "signOut"))
    headers = {"Set-Cookie": end_cookie(heads, secure=cookie.secure)} if cookie is not None else {}
    return Response(status_code=204, headers=headers)


async def _who(request: Request) -> Principal:
    """By a header or by the body, not by both. Raises ``Unauthorized``."""
    principal = principal_of(request.scope)
    receive = _small(request.receive) if principal is NOBODY else request.receive
    asked = bodies.validate(SignIn, await bodies.receive_optional_json(heads_of(request.scope), receive))
    if principal is not NOBODY:
        if asked.key is not None and principal.id != ANONYMOUS:
            raise unauthorized("There is a key in a header and another one in the body. Send one.")
        return principal
    if asked.key is None:
        raise unauthorized('Send a key of the service once, as {"key": "…"} or in a header.')
    return await cast(Entrance, request.app.state.entrance).by_key(request.scope, asked.key)


def _small(receive: Receive) -> Receive:
    """For a body of somebody who has not said yet who it is: nobody else can have a large one read."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BYTES:
            raise BodyTooLarge(f"To sign in takes a body of {MOST_BYTES} bytes at most.", limit=MOST_BYTES)
        return message

    return bounded


def _logged(scope: AsgiScope, action: str) -> Entry | None:
    """The audit log has what admins do; it is never pruned, and others must not be able to fill it."""
    return entry(scope, action) if principal_of(scope).names(Scope.ADMIN) else None


def _shown(principal: Principal, gate: Gate) -> dict[str, Any]:
    until = gate.end_of(principal)
    kind = "cookie" if principal.by_session else "token" if principal.credential else "key"
    return {
        "credential": kind if principal.id != ANONYMOUS else None,
        "id": principal.id or None,
        "name": principal.name,
        "scopes": scopes_of(principal),
        "expires_at": to_rfc3339(until) if until is not None else None,
    }


def scopes_of(principal: Principal) -> list[str]:
    """As they are written; what another scope has in it is not named again."""
    admin = _patterns(principal.names(Scope.ADMIN))
    shown = [str(Grant(Scope.ADMIN, pattern)) for pattern in admin]
    for scope in Scope:
        if scope is not Scope.ADMIN and "*" not in admin:
            shown += [str(Grant(scope, each)) for each in _patterns(principal.names(scope)) if each not in admin]
    return shown


def _patterns(names: Names) -> list[str]:
    return ["*"] if names.everything else sorted((*names.exact, *(f"{each}*" for each in names.beginnings)))


def _json(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(content, status, headers=dict(headers or {}), media_type=JSON)
