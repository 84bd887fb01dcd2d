"""Keys: make, list, look at, revoke. For those only who may do everything."""

import json
import re
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ..access.records import AccessKey
from ..access.shown import shown
from ..clock import system_clock
from ..errors import KeyNotFound
from . import bodies
from .access_bodies import CreateKey
from .access_documents import CREATE_KEY, DELETE_KEY, GET_KEY, KEYS
from .caller import actor_of
from .documents import JSON, READS, responses
from .queries import KeysQuery, NoQuery
from .services import Services, services

KEY_ID = re.compile(r"[0-9a-f]{12}")

router = APIRouter(tags=["access"], redirect_slashes=False)


@router.get("/keys", operation_id="listKeys", responses=responses(KEYS, *READS))
async def list_keys(request: Request, query: Annotated[KeysQuery, Query()]) -> Response:
    """List the keys in the order in which they were made, those that are void included. No secret is in it."""
    page = await services(request).store.list_keys(after=query.after, limit=query.limit)
    return _json({"items": [shown(key, system_clock()) for key in page.items], "next": page.next})


@router.post("/keys", operation_id="createKey", status_code=201, **CREATE_KEY)
async def create_key(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """Make a key. The answer is the only place where it ever is: what is stored is its SHA-256.

    From the first key on, the service asks for one. So the first one must have the scope `admin`, unless the settings
    have a key.
    """
    its, asked = services(request), bodies.validate(CreateKey, await bodies.read_json(request))
    key, token = await its.keys.create(
        asked.name, asked.grants(), expires_at=asked.end(system_clock), actor=actor_of(request.scope),
        limits=asked.limits(),
    )  # fmt: skip
    return _json({**shown(key, system_clock()), "key": token}, 201, {"Location": f"/keys/{key.id}"})


@router.get("/keys/{key}", operation_id="getKey", **GET_KEY)
async def get_key(request: Request, key: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """One key, without its secret."""
    return _json(shown(await _found(services(request), key), system_clock()))


@router.delete("/keys/{key}", operation_id="revokeKey", status_code=204, **DELETE_KEY)
async def revoke_key(request: Request, key: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """Revoke a key, for ever: the next request with it is refused, and its open streams end. Again is no error."""
    its = services(request)
    await its.keys.revoke((await _found(its, key)).id, actor=actor_of(request.scope))
    return Response(status_code=204)


async def _found(its: Services, id: str) -> AccessKey:
    """Raises KeyNotFound, also for what can be no id."""
    found = [key for key in await its.store.all_keys() if key.id == id] if KEY_ID.fullmatch(id) else []
    if not found:
        raise KeyNotFound(f"There is no key with the id {id[:100]!r}. GET /keys lists those that exist.")
    return found[0]


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(content, status, headers=headers, media_type=JSON)
