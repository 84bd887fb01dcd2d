"""The OpenAPI 3.2 description of all routes: FastAPI's own, and those that FastAPI does not see."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from ..model import NAME_PATTERN, EventType
from . import access_bodies, access_schemas, event_schemas, examples, requests, schemas
from .links import LINKS
from .names import TURN_ID
from .problem_documents import problem_examples, problem_schemas
from .raw_paths import raw_paths
from .references import reference
from .scopes import NEEDS
from .summaries import SUMMARIES, TAGS

VERSION = "3.2.0"
_STRING = {"type": "string"}
HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Request-Id": {
        "description": "Of the request, or made here; the log has it.", "required": True, "schema": _STRING,
    },
    "Content-Disposition": {"description": "A name for the file.", "required": True, "schema": _STRING},
    "Location": {"description": "Path of what was made.", "required": True, "schema": _STRING},
    "Idempotency-Replayed": {
        "description": "Only if the Idempotency-Key was known.", "schema": {"type": "string", "const": "true"},
    },
    "Link": {
        "description": "Where the problem is explained (RFC 8288): `</problems/…>; rel=\"help\"`.", "schema": _STRING,
    },
    "Preference-Applied": {"description": "Only if `Prefer: wait` was honoured.", "schema": _STRING},
    "RateLimit": {
        "description": "Requests that are left (`r`), until when (`t`, in seconds); only where a rate is set.",
        "schema": {"type": "string", "pattern": '^"requests";r=[0-9]+;t=[0-9]+$'},
    },
    "RateLimit-Policy": {
        "description": "Requests (`q`) in so many seconds (`w`); only where a rate is set.",
        "schema": {"type": "string", "pattern": '^"requests";q=[0-9]+;w=[0-9]+$'},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "WWW-Authenticate": {"description": "`Bearer`.", "required": True, "schema": _STRING},
    "Accept-Encoding": {"description": "Only if the Content-Encoding was the cause.", "schema": _STRING},
}  # fmt: skip
"""The headers of answers that clients may read."""

UNTIL_WHOLE = frozenset({"408", "431"})
"""What is answered before a request is whole: it has no id yet, and counts for nobody."""

PATH_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "name": {"description": "Name of the agent.", "schema": {"type": "string", "pattern": f"^{NAME_PATTERN.pattern}$"}},
    "id": {"description": "Id of the turn.", "schema": {"type": "string", "pattern": f"^{TURN_ID.pattern}$"}},
    "tool": {"description": "Name of the tool.", "schema": {"type": "string", "minLength": 1}},
    "problem": {
        "description": "Name of the problem, or its whole `type`.",
        "schema": {"type": "string", "minLength": 1},
    },
    "key": {"description": "Id of the key.", "schema": {"type": "string", "pattern": "^[0-9a-f]{12}$"}},
}

_SENT = (
    requests.Submit, requests.NoBody, requests.CreateAgent, requests.Merge, requests.Cancel, access_bodies.CreateKey,
    access_bodies.CreateTicket,
)  # fmt: skip
_SHOWN = (
    schemas.Agent, schemas.AgentPage, schemas.Turn, schemas.TurnPage, schemas.TurnBatch, schemas.Tool, schemas.ToolPage,
    schemas.Info, schemas.Limits, schemas.Health, schemas.Problem, schemas.Mistake, schemas.ExplanationPage,
    *event_schemas.MODELS, *access_schemas.MODELS,
)  # fmt: skip


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document. Nothing of it depends on settings or on what is registered."""
    app.openapi_version = VERSION
    document = FastAPI.openapi(app)
    document["paths"] = _joined(document["paths"], raw_paths([str(type_) for type_ in EventType]))
    for path, method, operation in operations(document):
        _complete(operation, f"{method.upper()} {path}")
    document["tags"] = [dict(tag) for tag in TAGS]
    document["components"] = _components(document.get("components", {}))
    document["security"] = [{"bearer": []}, {"key": []}, {}]
    return document


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def text(app: FastAPI) -> str:
    """The document as it is committed: one line for each thing, so that changes can be read."""
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


# --- paths -----------------------------------------------------------------------------------------------------------


def _joined(seen: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    return {path: {**seen.get(path, {}), **raw.get(path, {})} for path in sorted({*seen, *raw})}


def _complete(operation: dict[str, Any], route: str) -> None:
    """Add what all operations have in common, and what a key needs for this one: roles, to OpenAPI."""
    operation["summary"] = SUMMARIES[operation["operationId"]]
    if (need := NEEDS.get(route)) is None:
        operation["security"] = []
    elif need.scope is not None:
        operation["security"] = [{"bearer": [need.scope]}, {"key": [need.scope]}, {}]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter.update(PATH_PARAMETERS[parameter["name"]])
        _plain(parameter)
    links = LINKS.get(operation["operationId"], {})
    responses: dict[str, Any] = operation["responses"]
    common = ("X-Request-Id",) if need is None else ("X-Request-Id", "RateLimit", "RateLimit-Policy")
    headers = {name: reference(name, "headers") for name in common}
    for status, shared in responses.items():  # by several routes: what is added is of a copy
        response = responses[status] = dict(shared)
        if status not in UNTIL_WHOLE:
            response["headers"] = {**headers, **response.get("headers", {})}
        if status in links:
            response["links"] = dict(links[status])


def _plain(parameter: dict[str, Any]) -> None:
    """A parameter is absent or has a value: null is none, though the models that read it have it for absence."""
    schema = parameter["schema"]
    if choices := [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]:
        (parameter["schema"],) = choices
    else:
        for name in ("title", "description"):
            schema.pop(name, None)


# --- components ------------------------------------------------------------------------------------------------------


def _components(found: Mapping[str, Any]) -> dict[str, Any]:
    schemas_ = {**found.get("schemas", {}), **_schemas(), **problem_schemas()}
    named = {name: {"value": value} for name, value in examples.NAMED.items()}
    return {
        "schemas": dict(sorted(schemas_.items())),
        "headers": {name: dict(header) for name, header in HEADERS.items()},
        "examples": {**named, **problem_examples()},
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key, or a token of the issuer that is set.",
            },
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    }


def _schemas() -> dict[str, Any]:
    models: Any = [(model, "validation") for model in _SENT] + [(model, "serialization") for model in _SHOWN]
    _, document = models_json_schema(models, ref_template="#/components/schemas/{model}")
    found: dict[str, Any] = document["$defs"]
    for member in found["Merge"]["properties"].values():
        member.pop("default", None)  # what is not named stays; a client that filled defaults in would remove it
    return found | event_schemas.joined()
