"""The OpenAPI descriptions that the routes carry: their answers, the errors that they can raise, their bodies.

Schemas, headers and examples are named by reference; ``openapi`` puts them into the components.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import (
    AgentBusy,
    AgentExists,
    AgentNotFound,
    BodyTooLarge,
    CodeAgent,
    Damaged,
    ForeignOrigin,
    HeadTooLarge,
    InvalidRequest,
    KeyNotFound,
    MalformedBody,
    MisdirectedHost,
    MissingScope,
    NoBackup,
    NotFound,
    RateLimited,
    RequestTooSlow,
    ServiceError,
    StoreFull,
    ToolNotFound,
    TooManyWrongKeys,
    TurnEnded,
    TurnNotFound,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)  # fmt: skip
from .problem_documents import problem_responses, unexpected
from .references import reference

JSON = "application/json"
SQLITE = "application/vnd.sqlite3"
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
MERGE_PATCH = "application/merge-patch+json"

Answers = Mapping[int, Mapping[str, Any]]
Errors = tuple[type[ServiceError], ...]

PROBED: Errors = (InvalidRequest, BodyTooLarge, HeadTooLarge, RequestTooSlow)
"""What any request can be answered, probes included."""
EVERYWHERE: Errors = (
    *PROBED, Unauthorized, MissingScope, MisdirectedHost, RateLimited, TooManyWrongKeys, Unavailable,
)  # fmt: skip
"""What any request but a probe can be answered: unavailable are the keys of an issuer of tokens, for a while."""
READS: Errors = (Unavailable, Damaged)
"""What reading the store can raise."""
WRITES: Errors = (ForeignOrigin, StoreFull, Unavailable, Damaged)
"""What writing to it can."""
BODY: Errors = (MalformedBody, UnsupportedMediaType)
"""What reading a JSON body can."""
ADDRESSED = frozenset({AgentNotFound, TurnNotFound, ToolNotFound, KeyNotFound})


def responses(answers: Answers, *raised: type[ServiceError], always: Errors = EVERYWHERE) -> dict[int | str, Any]:
    """The answers of a route, its problems by the classes that it raises, and those of every route."""
    # An escaped slash in a name leads to no route at all.
    nowhere = () if ADDRESSED.isdisjoint(raised) else (NotFound,)
    described: dict[int | str, Any] = {status: dict(shown) for status, shown in answers.items()}
    return {**described, **problem_responses({*always, *raised, *nowhere}), "default": unexpected()}


def answer(schema: str, description: str, *, headers: Iterable[str] = (), example: str | None = None) -> dict[str, Any]:
    """A JSON answer. ``headers`` are further ones; ``example`` is the name of one."""
    content = {"schema": reference(schema), **_examples(example)}
    return {"description": description, "headers": _headers(headers), "content": {JSON: content}}


def no_content(description: str, *, headers: Iterable[str] = ()) -> dict[str, Any]:
    return {"description": description, "headers": _headers(headers)}


def body(
    schema: Mapping[str, Any],
    media_type: str = JSON,
    *,
    required: bool = True,
    example: str | None = None,
    description: str | None = None,
) -> dict[str, Any]:
    described = {} if description is None else {"description": description}
    content = {media_type: {"schema": dict(schema), **_examples(example)}}
    return {"requestBody": {**described, "required": required, "content": content}}


def _examples(name: str | None) -> dict[str, Any]:
    return {} if name is None else {"examples": {name: reference(name, "examples")}}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: reference(name, "headers") for name in names}


# --- the answers of the routes ---------------------------------------------------------------------------------------

AGENT = {200: answer("Agent", "The agent.", example="agent")}
AGENTS = {200: answer("AgentPage", "A page of agents.")}
TURN = {200: answer("Turn", "The turn.", example="turn-completed")}
TURNS = {200: answer("TurnPage", "A page of turns.")}
TOOL = {200: answer("Tool", "The tool.", example="tool")}
TOOLS = {200: answer("ToolPage", "A page of tools.")}
INFO = {200: answer("Info", "What runs here.")}
LIMITS = {200: answer("Limits", "The limits.")}
PROBLEM = {200: answer("Explanation", "What it means and what to do.")}
PROBLEMS = {200: answer("ExplanationPage", "All of them.")}
HEALTH = {200: answer("Health", "Yes.")}
METRICS: Answers = {
    200: {
        "description": "The text format of Prometheus.",
        "content": {METRICS_TEXT.partition(";")[0]: {"schema": {"type": "string"}}},
    }
}
DELETED = {204: no_content("It is deleted.")}

# --- whole routes ----------------------------------------------------------------------------------------------------

CREATE_AGENT: dict[str, Any] = {
    "responses": responses(
        {
            201: answer("Agent", "The agent was created.", headers=["Location"], example="agent"),
            200: answer("Agent", "It existed with the same definition.", headers=["Location"], example="agent"),
        },
        AgentExists, *BODY, *WRITES,
    ),
    "openapi_extra": body(reference("CreateAgent"), example="create-agent"),
}  # fmt: skip

PATCH_AGENT: dict[str, Any] = {
    "responses": responses(AGENT, AgentNotFound, CodeAgent, *BODY, *WRITES),
    # Not as a second media type: functions that generators make for several (openapi-python-client 0.29) do not work.
    "openapi_extra": body(
        reference("Merge"), MERGE_PATCH, example="patch-agent", description="It may also be sent as `application/json`."
    ),
}

CHANGE_AGENT: dict[str, Any] = {"responses": responses(AGENT, AgentNotFound, *WRITES)}

DELETE_AGENT: dict[str, Any] = {"responses": responses(DELETED, AgentNotFound, AgentBusy, CodeAgent, *WRITES)}

BACKUP: dict[str, Any] = {
    "responses": responses(
        {
            200: {
                "description": "The database, as it was at one moment.",
                "headers": _headers(["Content-Disposition"]),
                "content": {SQLITE: {"schema": {"type": "string", "format": "binary"}}},
            }
        },
        NoBackup, *WRITES,
    )
}  # fmt: skip

GET_TURN: dict[str, Any] = {"responses": responses(TURN, AgentNotFound, TurnNotFound, *READS)}

CANCEL: dict[str, Any] = {
    "responses": responses(
        {
            200: answer("Turn", "The turn is cancelled.", example="turn-cancelled"),
            202: answer("Turn", "Its running tool was told to stop.", example="turn-running"),
        },
        AgentNotFound, TurnNotFound, TurnEnded, *BODY, *WRITES,
    ),
    "openapi_extra": body(reference("Cancel"), required=False, example="cancel"),
}  # fmt: skip
