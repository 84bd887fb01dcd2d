"""The tools that are registered here."""

import json
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ..errors import ToolNotFound
from .documents import JSON, TOOL, TOOLS, responses
from .queries import NoQuery, PageQuery
from .representations import tool_value
from .services import services

router = APIRouter(tags=["tools"], redirect_slashes=False)


@router.get("/tools", operation_id="listTools", responses=responses(TOOLS))
async def list_tools(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the tools by name, with the JSON schemas of their arguments."""
    tools = services(request).catalogue.tools()
    names = sorted(name for name in tools if query.after is None or name > query.after)
    shown = names[: query.limit]
    following = shown[-1] if len(names) > len(shown) else None
    return _json({"items": [tool_value(tools[name]) for name in shown], "next": following})


@router.get("/tools/{tool}", operation_id="getTool", responses=responses(TOOL, ToolNotFound))
async def get_tool(request: Request, tool: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """One tool, with the JSON schema of its arguments."""
    found = services(request).catalogue.tools().get(tool)
    if found is None:
        raise ToolNotFound(f"There is no tool named {tool[:100]!r} here. GET /tools lists those that exist.")
    return _json(tool_value(found))


def _json(value: object) -> Response:
    return Response(json.dumps(value, ensure_ascii=False, separators=(",", ":")), media_type=JSON)
