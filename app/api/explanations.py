"""``/problems``: the catalogue of what can go wrong. Nothing of it depends on what is stored or registered."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..errors import NotFound
from ..explanations.catalogue import catalogue, find
from ..explanations.entry import Entry
from .documents import JSON, PROBLEM, PROBLEMS, responses
from .queries import NoQuery, PageQuery

router = APIRouter(tags=["problems"], redirect_slashes=False)


@router.get("/problems", operation_id="listProblems", responses=responses(PROBLEMS))
async def list_problems(query: Annotated[PageQuery, Query()]) -> Response:
    """List all that can go wrong, by name: problems of requests, reasons of streams, errors of turns."""
    names = sorted(name for name in catalogue() if query.after is None or name > query.after)
    shown = names[: query.limit]
    following = shown[-1] if len(names) > len(shown) else None
    return _json({"items": [_value(catalogue()[name]) for name in shown], "next": following})


@router.get("/problems/{problem}", operation_id="getProblem", responses=responses(PROBLEM, NotFound))
async def get_problem(problem: str, _query: Annotated[NoQuery, Query()]) -> Response:
    """What one problem means, what to do about it, and whether to send the same request again."""
    entry = find(problem)
    if entry is None:
        raise NotFound(f"There is no problem named {problem[:100]!r}. GET /problems lists those that there are.")
    return _json(_value(entry))


def _value(entry: Entry) -> dict[str, Any]:
    members = entry._asdict()
    explanation = members.pop("explanation")._asdict()
    return {**members, **explanation, "links": {"self": f"/problems/{entry.name}"}}


def _json(value: object) -> Response:
    return Response(json.dumps(value, ensure_ascii=False, separators=(",", ":")), media_type=JSON)
