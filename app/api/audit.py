"""The audit log: what admins have done, and from where."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ..access.records import LoggedEntry
from ..clock import to_rfc3339
from .access_documents import AUDIT
from .documents import JSON, READS, responses
from .queries import AuditQuery
from .services import services

router = APIRouter(tags=["access"], redirect_slashes=False)


@router.get("/audit", operation_id="listAudit", responses=responses(AUDIT, *READS))
async def list_audit(request: Request, query: Annotated[AuditQuery, Query()]) -> Response:
    """List what admins have done, the oldest first. Nothing is ever removed from this log, or changed in it."""
    page = await services(request).store.list_audit(after=int(query.after or 0), limit=query.limit)
    shown = {"items": [_shown(each) for each in page.items], "next": page.next}
    content = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    return Response(content, media_type=JSON)


def _shown(logged: LoggedEntry) -> dict[str, Any]:
    entry, actor = logged.entry, logged.entry.actor
    return {
        "number": logged.number,
        "time": to_rfc3339(logged.time),
        "action": entry.action,
        "target": entry.target or None,
        "details": json.loads(entry.details),
        "by": {"id": actor.id or None, "name": actor.name},
        "address": actor.address or None,
        "request_id": actor.request_id or None,
    }
