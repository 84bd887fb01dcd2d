"""The OpenAPI 3.2 description of all routes: FastAPI's own, and those that FastAPI does not see."""

import json
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from ..model import EventType
from . import requests, schemas
from .documents import JSON, WRITES, body, responses, schema
from .queries import MAX_ITEMS

VERSION = "3.2.0"
DESCRIPTION = """\
Agents that live long: post a turn to an agent, and follow its events live from any point.

Every error is `application/problem+json` with a stable `type`. The stream's contract is in `openapi/events.md`.
"""
NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Of the agent."}
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Of the turn."}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document. Nothing of it depends on settings or on what is registered."""
    app.openapi_version = VERSION
    document = FastAPI.openapi(app)
    paths: dict[str, Any] = document["paths"]
    for path, operations in _raw_paths().items():
        paths[path] = {**paths.get(path, {}), **operations}
    document["paths"] = dict(sorted(paths.items()))
    components = document.setdefault("components", {})
    components["schemas"] = dict(sorted((components.get("schemas", {}) | _schemas()).items()))
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["security"] = [{"bearer": []}, {"key": []}, {}]
    for probe in ("/healthz", "/readyz"):
        paths[probe]["get"]["security"] = []
        for unasked in ("401", "421"):
            del paths[probe]["get"]["responses"][unasked]
    return document


def text(app: FastAPI) -> str:
    """The document as it is committed: one line for each thing, so that changes can be read."""
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


async def serve(request: Request) -> Response:
    return Response(_encoded(request.app), media_type=JSON)


@cache
def package_version() -> str:
    return version("pygents")


@cache
def _encoded(app: FastAPI) -> bytes:
    return json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()


# --- what FastAPI does not see ---------------------------------------------------------------------------------------


def _schemas() -> dict[str, Any]:
    """The schemas that routes name by reference."""
    given = [(model, "validation") for model in (requests.Submit, requests.CreateAgent, requests.Cancel)]
    shown = (
        schemas.Turn, schemas.Problem, schemas.InvalidRequest, schemas.TurnEnded, schemas.Event, schemas.EventPage,
    )  # fmt: skip
    models: Any = [*given, *((model, "serialization") for model in shown)]
    _, document = models_json_schema(models, ref_template="#/components/schemas/{model}")
    found: dict[str, Any] = document["$defs"]
    found["Event"]["properties"]["type"] |= {"examples": [type_.value for type_ in EventType]}
    return found


def _raw_paths() -> dict[str, Any]:
    return {
        "/agents/{name}/turns": {"post": _submit()},
        "/agents/{name}/events": {"get": _events()},
        "/agents/{name}/stream": {"get": _stream("streamAgent", "Follow an agent's events.", [NAME], 400, 404)},
        "/agents/{name}/turns/{id}/stream": {
            "get": _stream(
                "streamTurn", "Follow one turn's events, up to its end.", [NAME, ID], 400, 404, 410,
                nothing="The cursor is at the end of the turn or past it.",
            )
        },
    }  # fmt: skip


def _submit() -> dict[str, Any]:
    key = _header("Idempotency-Key", "1 to 255 visible ASCII characters. The same key and body again: the same turn.")
    headers = {
        "Location": {"description": "Path of the turn.", "schema": {"type": "string"}},
        "Idempotency-Replayed": {"description": "`true` if the key was known.", "schema": {"type": "string"}},
    }
    accepted = {
        "description": "The turn is stored durably, as it is shown.",
        "headers": headers, "content": {JSON: {"schema": schema("Turn")}},
    }  # fmt: skip
    return {
        "tags": ["turns"], "summary": "Submit Turn", "operationId": "submitTurn",
        "description": "Accept a turn; the answer comes once it is durable. No answer: repeat with the same key.",
        "parameters": [NAME, key],
        **body("Submit"),
        "responses": _numbered({202: accepted}, 404, 409, 429, *WRITES),
    }  # fmt: skip


def _events() -> dict[str, Any]:
    parameters = [
        NAME,
        _query("after", {"type": "string"}, "Events with a larger sequence number."),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS, "default": 100}, "Items per page."),
        _query("types", {"type": "string"}, "Only these types, separated by commas."),
    ]
    page = {"description": "A page of events.", "content": {JSON: {"schema": schema("EventPage")}}}
    return {
        "tags": ["events"], "summary": "List Events", "operationId": "listEvents",
        "description": "The events of an agent's log, as JSON pages.",
        "parameters": parameters, "responses": _numbered({200: page}, 400, 404),
    }  # fmt: skip


def _stream(name: str, summary: str, path: list[Any], *statuses: int, nothing: str | None = None) -> dict[str, Any]:
    parameters = [
        *path,
        _header("Last-Event-ID", "Cursor: the last sequence number that the client has."),
        _query("after", {"type": "string"}, "Cursor, if there is no Last-Event-ID: `0`, a number, or `latest`."),
        _query("tail", {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS}, "Begin with the last so many events."),
        _query("types", {"type": "string"}, "Only these types, separated by commas."),
    ]
    item = {"type": "object", "required": ["data"], "properties": {
        "id": {"type": "string"}, "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": JSON, "contentSchema": schema("Event")},
    }}  # fmt: skip
    answers = {200: {"description": "The events.", "content": {"text/event-stream": {"itemSchema": item}}}}
    return {
        "tags": ["events"], "summary": summary, "operationId": name,
        "description": "Server-sent events, first the stored ones after the cursor, then live. See openapi/events.md.",
        "parameters": parameters,
        "responses": _numbered(answers | ({204: {"description": nothing}} if nothing else {}), *statuses),
    }  # fmt: skip


def _numbered(answers: dict[int, Any], *statuses: int) -> dict[str, Any]:
    return {str(status): answer for status, answer in sorted(responses(answers, *statuses).items())}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": description}


def _query(name: str, schema_: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema_, "description": description}
