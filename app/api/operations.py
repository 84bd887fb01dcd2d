"""What operators and proxies ask: is it alive, is it ready, what is it."""

import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ..access.commands import LogEntry
from ..errors import Unavailable
from .caller import entry
from .documents import BACKUP, HEALTH, INFO, JSON, LIMITS, METRICS, METRICS_TEXT, PROBED, responses
from .download import Download
from .limits import limits_of
from .queries import NoQuery
from .readiness import readiness
from .services import services

router = APIRouter(tags=["operations"], redirect_slashes=False)


@router.get("/healthz", operation_id="health", responses=responses(HEALTH, always=PROBED))
async def health(_query: Annotated[NoQuery, Query()]) -> Response:
    """The process answers. Needs no key."""
    return _json({"status": "ok"})


@router.get("/readyz", operation_id="ready", responses=responses(HEALTH, Unavailable, always=PROBED))
async def ready(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """The service takes turns: its store works and it is not shutting down. Needs no key."""
    reasons = await readiness(request).reasons()
    if reasons:
        raise Unavailable("The service does not take turns now.", headers={"Retry-After": "2"}, reasons=reasons)
    return _json({"status": "ok"})


@router.get("/info", operation_id="info", responses=responses(INFO))
async def info(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """What runs here."""
    its = services(request)
    durability = its.settings.durability
    return _json({"version": version("pygents"), "node": its.node, "engine": its.engine, "durability": durability})


@router.get("/limits", operation_id="limits", responses=responses(LIMITS))
async def limits(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """All limits: those that are settings, and the fixed ones."""
    return _json(limits_of(services(request).settings))


@router.get("/metrics", operation_id="metrics", responses=responses(METRICS))
async def metrics(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """What Prometheus scrapes."""
    ready = not await readiness(request).reasons()
    return Response(await services(request).metrics.text(ready=ready), media_type=METRICS_TEXT)


@router.post("/backup", operation_id="backup", **BACKUP)
async def backup(request: Request, _query: Annotated[NoQuery, Query()]) -> Response:
    """A copy of the whole database, while it is being used. `pygents restore` puts it in the place of another.

    The server makes it beside the database, so that there must be space for both; nothing stays behind.
    """
    its = services(request)
    copy = await its.store.backup()
    try:
        await its.store.execute(LogEntry(entry(request.scope, "backup")))
    except BaseException:
        copy.close()
        raise
    return Download(copy, f"pygents-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db")


def _json(value: object) -> Response:
    return Response(json.dumps(value, separators=(",", ":")), media_type=JSON)
