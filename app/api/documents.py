"""The OpenAPI descriptions that the routes carry: their answers, their errors, and bodies that are read by hand.

Schemas of errors and of request bodies are named by reference; ``openapi`` puts them into the components.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from . import schemas

JSON = "application/json"

AGENT = {200: {"model": schemas.Agent, "description": "The agent."}}
AGENTS = {200: {"model": schemas.AgentPage, "description": "A page of agents."}}
TURN = {200: {"model": schemas.Turn, "description": "The turn."}}
TURNS = {200: {"model": schemas.TurnPage, "description": "A page of turns."}}
TOOL = {200: {"model": schemas.Tool, "description": "The tool."}}
TOOLS = {200: {"model": schemas.ToolPage, "description": "A page of tools."}}
INFO = {200: {"model": schemas.Info, "description": "What runs here."}}
LIMITS = {200: {"model": schemas.Limits, "description": "The limits."}}
HEALTH = {200: {"model": schemas.Health, "description": "Yes."}}

PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("Problem", "The body, a header or the cursor is malformed."),
    401: ("Problem", "A valid key is needed."),
    403: ("Problem", "A write from a page of another origin."),
    404: ("Problem", "There is no such agent, turn or tool."),
    409: ("Problem", "The state does not allow it."),
    410: ("Problem", "The events are no longer retained."),
    413: ("Problem", "The body is too large."),
    415: ("Problem", "The body is not JSON."),
    421: ("Problem", "The Host is not served here."),
    422: ("InvalidRequest", "The body or the query is not valid."),
    429: ("Problem", "The agent's mailbox is full."),
    503: ("Problem", "The service cannot answer for now."),
    507: ("Problem", "There is no space left."),
}
EVERYWHERE = (401, 421, 422)
WRITES = (400, 403, 413, 415, 503, 507)


def schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def problem(status: int, name: str | None = None) -> dict[str, Any]:
    known, description = PROBLEMS[status]
    return {"description": description, "content": {"application/problem+json": {"schema": schema(name or known)}}}


def responses(answers: Mapping[int, Mapping[str, Any]], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route and its problems: those of every route, and ``statuses``."""
    problems: dict[int | str, dict[str, Any]] = {status: problem(status) for status in sorted({*EVERYWHERE, *statuses})}
    found: dict[int | str, dict[str, Any]] = {status: dict(answer) for status, answer in answers.items()}
    return found | problems


def body(model: str, *, required: bool = True) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {JSON: {"schema": schema(model)}}}}


def _answer(model: type[BaseModel], description: str, **headers: str) -> dict[str, Any]:
    shown = {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }
    return {"model": model, "description": description, **({"headers": shown} if shown else {})}


CREATE_AGENT: dict[str, Any] = {
    "responses": responses(
        {
            201: _answer(schemas.Agent, "The agent was created.", Location="Path of the agent."),
            200: _answer(schemas.Agent, "It existed with the same definition.", Location="Path of the agent."),
        },
        409, *WRITES,
    ),
    "openapi_extra": body("CreateAgent"),
}  # fmt: skip

CANCEL: dict[str, Any] = {
    "responses": {
        **responses(
            {
                200: _answer(schemas.Turn, "The turn is cancelled."),
                202: _answer(schemas.Turn, "Its running tool was told to stop."),
            },
            404, *WRITES,
        ),
        409: problem(409, "TurnEnded"),
    },
    "openapi_extra": body("Cancel", required=False),
}  # fmt: skip
