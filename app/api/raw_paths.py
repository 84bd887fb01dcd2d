"""The OpenAPI descriptions of the routes that FastAPI does not see, because they are hot or are no plain answers."""

from collections.abc import Mapping
from typing import Any

from ..errors import (
    AgentGone,
    AgentNotFound,
    Draining,
    EventsGone,
    InvalidArguments,
    KeyReused,
    MailboxFull,
    MalformedCursor,
    MalformedHeader,
    ServiceError,
    SubmitRejected,
    ToolNotAccepted,
    TurnNotEnded,
    TurnNotFound,
)  # fmt: skip
from .documents import BODY, READS, WRITES, Answers, answer, body, no_content, responses
from .queries import MAX_ITEMS
from .references import reference

SUBMITTED = ("Location", "Idempotency-Replayed")
SUBMIT_ERRORS: tuple[type[ServiceError], ...] = (
    MalformedHeader, AgentNotFound, AgentGone, ToolNotAccepted, InvalidArguments, SubmitRejected, KeyReused,
    MailboxFull, Draining, *BODY, *WRITES,
)  # fmt: skip


def header(name: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": dict(schema), "description": description}


def query(name: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": dict(schema), "description": description}


NAME: dict[str, Any] = {"name": "name", "in": "path", "required": True}
ID: dict[str, Any] = {"name": "id", "in": "path", "required": True}
"""``openapi`` describes these, for all routes alike."""
KEY = header(
    "Idempotency-Key", {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "1 to 255 visible ASCII characters. The same key and body again: the same turns.",
)  # fmt: skip
TRACEPARENT = header(
    "traceparent", {"type": "string"},
    "W3C Trace Context: the trace that goes on with the turn, if the service traces. Ignored if malformed.",
)  # fmt: skip
LAST_EVENT_ID = header(
    "Last-Event-ID", {"type": "string", "pattern": "^[0-9]{0,18}$"},
    "Cursor: the last sequence number that the client has.",
)  # fmt: skip
SEEN = header(
    "Last-Event-ID", {"type": "string"}, "Cursor, if the events are the answer: 1 to 18 digits; else it is not read."
)
AFTER = query("after", {"type": "string", "pattern": "^[0-9]{0,18}$"}, "Events with a larger sequence number.")
FROM = query(
    "after", {"type": "string", "pattern": "^([0-9]{0,18}|latest)$"},
    "Cursor, if there is no Last-Event-ID: `0`, a number, or `latest`.",
)  # fmt: skip
TICKET = query(
    "ticket", {"type": "string", "pattern": "^pyt_[0-9a-f]{64}$"}, "Of `POST /stream-tickets`, instead of a key."
)
TAIL = query("tail", {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS}, "Begin with the last so many events.")
LIMIT = query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS, "default": 100}, "Items per page.")


def raw_paths(event_types: list[str]) -> dict[str, dict[str, Any]]:
    """Their path items. ``event_types`` are those that a stream can be asked for."""
    types = {
        "name": "types", "in": "query", "required": False, "style": "form", "explode": False,
        "schema": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": event_types}},
        "description": "Only these types, separated by commas. A turn's terminal event is always sent.",
    }  # fmt: skip
    return {
        "/agents/{name}/turns": {"post": _submit()},
        "/agents/{name}/turns/batch": {"post": _batch()},
        "/agents/{name}/turns/{id}/retry": {"post": _retry()},
        "/agents/{name}/events": {"get": _events(types)},
        "/agents/{name}/stream": {"get": _agent_stream(types)},
        "/agents/{name}/turns/{id}/stream": {"get": _turn_stream(types)},
    }


def _submit() -> dict[str, Any]:
    return {
        "tags": ["turns"], "operationId": "submitTurn",
        "description": (
            "Accept a turn; the answer comes once it is durable. No answer: repeat with the same key.\n\n"
            "With `Accept: text/event-stream` the turn's events are the answer, as on its stream."
        ),
        "parameters": [NAME, *_wishes()],
        **body(reference("Submit"), example="submit"),
        "responses": _submitted(),
    }  # fmt: skip


def _retry() -> dict[str, Any]:
    return {
        "tags": ["turns"], "operationId": "retryTurn",
        "description": "Accept an ended turn once more, as a new turn with `retry_of`. Answered as `submitTurn` is.",
        "parameters": [NAME, ID, *_wishes()],
        **body(reference("NoBody"), required=False),
        "responses": _submitted(TurnNotFound, TurnNotEnded),
    }  # fmt: skip


def _wishes() -> list[dict[str, Any]]:
    """How a client that submits says how it wants to be answered."""
    prefer = header(
        "Prefer", {"type": "string"},
        "`wait=10` (RFC 7240): answer when the turn has ended or so many seconds, up to 60, are over.",
    )  # fmt: skip
    leaving = query(
        "on_disconnect", {"type": "string", "enum": ["cancel"]},
        "Cancel the turn if the client goes away before its end; only with `Prefer: wait` or the events as the answer.",
    )  # fmt: skip
    return [leaving, KEY, prefer, SEEN, TRACEPARENT]


def _submitted(*raised: type[ServiceError]) -> dict[str, Any]:
    now = answer(
        "Turn", "The turn has ended (`Prefer: wait`); or its events (`Accept: text/event-stream`).",
        headers=[*SUBMITTED, "Preference-Applied"], example="turn-completed",
    )  # fmt: skip
    now["content"] |= _event_stream("TurnStreamFrame")
    answers = {
        200: now,
        202: answer(
            "Turn", "The turn is stored durably, as it is shown.",
            headers=[*SUBMITTED, "Preference-Applied"], example="turn-queued",
        ),
        204: no_content("The client has seen the turn's last event (`Accept: text/event-stream`).", headers=SUBMITTED),
    }  # fmt: skip
    return _numbered(answers, MalformedCursor, EventsGone, *raised, *SUBMIT_ERRORS)


def _batch() -> dict[str, Any]:
    turns = {"type": "array", "items": reference("Submit"), "minItems": 1}
    accepted = answer(
        "TurnBatch", "The turns are stored durably, as shown.", headers=["Idempotency-Replayed"], example="turns"
    )
    return {
        "tags": ["turns"], "operationId": "submitTurns",
        "description": (
            "Accept an array of turns, all or none, in their order. Pointers of errors begin with the index.\n\n"
            "`GET /limits` tells how many a batch may have."
        ),
        "parameters": [NAME, KEY, TRACEPARENT],
        **body(turns, example="submit-batch"),
        "responses": _numbered({202: accepted}, *SUBMIT_ERRORS),
    }  # fmt: skip


def _events(types: Mapping[str, Any]) -> dict[str, Any]:
    page = answer("EventPage", "A page of events.", example="events")
    return {
        "tags": ["events"], "operationId": "listEvents",
        "description": "The events of an agent's log, as JSON pages.",
        "parameters": [NAME, AFTER, LIMIT, types],
        "responses": _numbered({200: page}, MalformedCursor, AgentNotFound, *READS),
    }  # fmt: skip


def _agent_stream(types: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tags": ["events"], "operationId": "streamAgent",
        "description": "Server-sent events, first the stored ones after the cursor, then live. See openapi/events.md.",
        "parameters": [NAME, LAST_EVENT_ID, FROM, TAIL, types, TICKET],
        "responses": _numbered({200: _stream("StreamFrame")}, MalformedCursor, AgentNotFound),
    }  # fmt: skip


def _turn_stream(types: Mapping[str, Any]) -> dict[str, Any]:
    nothing = no_content("The cursor is at the end of the turn or past it.")
    return {
        "tags": ["events"], "operationId": "streamTurn",
        "description": "Server-sent events, from the turn's first to its terminal one, then a clean end.",
        "parameters": [NAME, ID, LAST_EVENT_ID, FROM, TAIL, types, TICKET],
        "responses": _numbered(
            {200: _stream("TurnStreamFrame"), 204: nothing}, MalformedCursor, AgentNotFound, TurnNotFound, EventsGone
        ),
    }  # fmt: skip


def _stream(frame: str) -> dict[str, Any]:
    return {"description": "The events.", "content": _event_stream(frame)}


def _event_stream(frame: str) -> dict[str, Any]:
    return {"text/event-stream": {"itemSchema": reference(frame)}}


def _numbered(answers: Answers, *raised: type[ServiceError]) -> dict[str, Any]:
    return {str(status): shown for status, shown in responses(answers, *raised).items()}
