"""The problems in the OpenAPI document, all from the error classes: what a route can raise is what its clients read.

Each class has a schema of its own, whose ``type`` and ``status`` are constants, and an example that is made by the code
that answers. A status that several classes have is one of theirs, told apart by ``type``.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby
from typing import Any

from .. import errors
from ..errors import ServiceError
from ..explanations.entry import URN
from . import examples, problems
from .references import reference

Errors = Iterable[type[ServiceError]]

_WHOLE = {"type": "integer", "minimum": 0}

MEMBERS: Mapping[type[ServiceError], Mapping[str, Any]] = {
    errors.MalformedBody: {"position": {**_WHOLE, "description": "Of the first mistake in the body."}},
    errors.BodyTooLarge: {"limit": {**_WHOLE, "description": "Bytes."}},
    errors.InvalidRequest: {"errors": {"type": "array", "items": reference("Mistake")}},
    errors.EventsGone: {"earliest": {**_WHOLE, "description": "Sequence number of the oldest retained event."}},
    errors.Damaged: {"agent": {"type": "string"}, "seq": _WHOLE, "turn_id": {"type": "string"}},
    errors.AgentBusy: {"running": _WHOLE, "queued": _WHOLE, "scheduled": _WHOLE},
    errors.TurnEnded: {"turn": reference("Turn")},
    errors.MailboxFull: {"limit": _WHOLE, "queued": {**_WHOLE, "description": "Turns that wait, delayed ones too."}},
    errors.MissingScope: {"scope": {"type": "string", "description": "The one that it would need."}},
    errors.TooManyTickets: {"limit": _WHOLE},
    errors.Unavailable: {"reasons": {"type": "array", "items": {"type": "string"}}},
}
"""The further members of a problem, for a class and those that derive from it."""

OPTIONAL = frozenset({"position", "reasons", "agent", "seq", "turn_id"})

HEADERS: Mapping[type[ServiceError], tuple[str, ...]] = {
    errors.Unauthorized: ("WWW-Authenticate",),
    errors.UnsupportedMediaType: ("Accept-Encoding",),
    errors.MailboxFull: ("Retry-After",),
    errors.TooManyTickets: ("Retry-After",),
    errors.RateLimited: ("Retry-After",),
    errors.TooManyWrongKeys: ("Retry-After",),
    errors.Draining: ("Retry-After",),
    errors.Unavailable: ("Retry-After",),
}

EXAMPLES: tuple[ServiceError, ...] = (
    ServiceError("Something went wrong here. The log tells more under request id 0198a3c4."),
    errors.NotFound("There is nothing at this address. GET /openapi.json lists what there is."),
    errors.MethodNotAllowed("PUT is not allowed here; allowed: GET, POST."),
    errors.AgentNotFound("There is no agent named 'nobody'. GET /agents lists those that exist."),
    errors.TurnNotFound("There is no turn '0198a3c4-7e1b-7cc0-8f5e-0242ac120002' here."),
    errors.ToolNotFound("There is no tool named 'fly' here. GET /tools lists those that exist."),
    errors.EventsGone("The events of turn 0198a3c4-7e1b-7cc0-8f5e-0242ac120002 are no longer retained.", earliest=120),
    errors.MalformedBody("The body is not JSON: Expecting value (line 1, column 1).", position=0),
    errors.MalformedCursor("A cursor is 1 to 18 digits, not '-1'."),
    errors.MalformedRequest(
        "What came is not a request of HTTP/1.1, or one that two readers may take differently."
    ),
    errors.MalformedHeader("Idempotency-Key must be given once, as 1 to 255 visible ASCII characters."),
    errors.BodyTooLarge("A body may have 1048576 bytes (max_body).", limit=1048576),
    errors.HeadTooLarge("Request line and headers may have 64 KiB together."),
    errors.RequestTooSlow("Head and body must each be here within the time that GET /limits tells."),
    errors.UnsupportedMediaType("Send JSON in UTF-8, with the header Content-Type: application/json."),
    errors.MisdirectedHost(
        "example.org is not served here. If it is a name of this service, add it to allowed_hosts "
        "(PYGENTS_ALLOWED_HOSTS)."
    ),
    errors.ForeignOrigin("Only pages of this service's own origin may write; a program should send no Origin."),
    errors.Unauthorized("Send a key of the service once, as Authorization: Bearer <key> or X-API-Key: <key>."),
    errors.MissingScope("This key does not have the scope turns:write for agent 'greeter'.", scope="turns:write"),
    errors.KeyNotFound("There is no key with the id '0198a3c47e1b'. GET /keys lists those that exist."),
    errors.NoAdminKey("There is no key that may make and revoke keys. Make one first."),
    errors.TooManyTickets("1000 tickets of this key are not used up. Try again later.", limit=1000),
    errors.RateLimited("10 requests per second are allowed, and 100 at once (rate). Wait a moment."),
    errors.TooManyWrongKeys("Too many wrong keys have come from this address. Wait a moment."),
    errors.InvalidRequest("The query is not valid.", errors=[{"pointer": "colour", "detail": "not known here"}]),
    errors.InvalidArguments(
        "The arguments do not fit tool 'greet'. GET /tools/greet has its schema.",
        errors=[{"pointer": "/kwargs/name", "detail": "Input should be a valid string"}],
    ),
    errors.ToolNotAccepted(
        "Agent 'greeter' does not accept tool 'fly'. It accepts: greet.",
        errors=[{"pointer": "/tool", "detail": "not a tool of this agent"}],
    ),
    errors.SubmitRejected("Agent 'greeter' rejected the turn: only on weekdays"),
    errors.KeyReused("This Idempotency-Key was used for another body. Send the same body again, or take a new key."),
    errors.AgentExists(
        "An agent named 'greeter' exists with another definition. Choose another name, or change that agent."
    ),
    errors.AgentGone(
        "Agent 'greeter' is gone from the code that is served here: its turns wait, it takes no new ones."
    ),
    errors.AgentBusy(
        "Agent 'greeter' has turns: 1 running, 2 queued, 0 scheduled. Add ?force=true to cancel them.",
        running=1, queued=2, scheduled=0,
    ),
    examples.ENDED,
    errors.CodeAgent("Agent 'greeter' is defined in the code that is served here. Change it in the code."),
    errors.TurnNotEnded("The turn is running. Cancel it first, or wait for its end."),
    errors.MailboxFull(
        "10000 turns wait for agent 'greeter' and its mailbox holds 10000. Try again later.",
        limit=10000, queued=10000,
    ),
    errors.Draining("The service is shutting down. Try again shortly."),
    errors.Unavailable("The store cannot be read now. Try again later."),
    errors.NoBackup("What is kept in memory is in no file."),
    errors.Damaged("Event 42 of agent 'greeter'", agent="greeter", seq=42),
    errors.StoreFull("The disk of the store is full. What is stored can be read."),
)  # fmt: skip


def schema_name(error: type[ServiceError]) -> str:
    return "InternalProblem" if error is ServiceError else f"{error.__name__}Problem"


def problem_responses(raised: Errors) -> dict[int | str, Any]:
    """The responses for these classes, by status; a status of defects is never that of another class alone."""
    raised = set(raised)
    defects = {ServiceError} if any(error.status == ServiceError.status for error in raised) else set()
    ordered = sorted(raised | defects, key=lambda error: (error.status, error.type))
    found: dict[int | str, Any] = {}
    for status, group in groupby(ordered, key=lambda error: error.status):
        found[status] = _response(tuple(group))
    return found


def unexpected() -> dict[str, Any]:
    """The response for a defect of the service."""
    return _response((ServiceError,))


def problem_schemas() -> dict[str, Any]:
    """Of all classes that have an example. A test finds a response that names another one."""
    return {schema_name(type(error)): _schema(type(error)) for error in EXAMPLES}


def problem_examples() -> dict[str, Any]:
    return {
        error.type: {"summary": error.title, "value": json.loads(bytes(problems.response(error).body))}
        for error in EXAMPLES
    }


@cache
def _response(raised: tuple[type[ServiceError], ...]) -> dict[str, Any]:
    """The same one for all routes that share it, which takes two thirds of a megabyte less. Nobody changes it."""
    shown = {error.type: reference(error.type, "examples") for error in raised}
    content = {"schema": _one_of(raised), "examples": shown}
    further = dict.fromkeys(name for error in raised for name in HEADERS.get(error, ()))
    headers = {name: reference(name, "headers") for name in ("Link", *further)}
    described = " ".join(f"{error.title}." for error in raised)
    return {"description": described, "headers": headers, "content": {problems.MEDIA_TYPE: content}}


def _one_of(raised: tuple[type[ServiceError], ...]) -> dict[str, Any]:
    if len(raised) == 1:
        return reference(schema_name(raised[0]))
    mapping = {URN + error.type: reference(schema_name(error))["$ref"] for error in raised}
    choices = [reference(schema_name(error)) for error in raised]
    return {"oneOf": choices, "discriminator": {"propertyName": "type", "mapping": mapping}}


def _schema(error: type[ServiceError]) -> dict[str, Any]:
    further = {
        name: shape for base in error.__mro__ if issubclass(base, ServiceError)
        for name, shape in MEMBERS.get(base, {}).items()
    }  # fmt: skip
    properties = {
        "type": {"type": "string", "const": URN + error.type},
        "title": {"type": "string", "examples": [error.title]},
        "status": {"type": "integer", "const": error.status},
        "detail": {"type": "string", "description": "For people: what is wrong and what to do."},
        **further,
    }
    required = [name for name in properties if name not in OPTIONAL]
    return {"type": "object", "description": f"{error.title}.", "required": required, "properties": properties}
