"""Every error that the service can answer with: one class per cause, with a stable type and the HTTP status it means.

An error carries data (``fields``) for machines and a ``detail`` for people that says what to do. It never carries a
traceback, a path or SQL. ``api/problems.py`` turns errors into RFC 9457 bodies, once for all routes.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar


class ServiceError(Exception):
    """Base of all errors of the service. ``fields`` become extension members of the problem body (RFC 9457 §3.2)."""

    type: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **fields: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers: Mapping[str, str] = headers or {}
        self.fields = fields


# --- what a client asked for does not exist, or not any more ---------------------------------------------------------


class NotFound(ServiceError):
    type, status, title = "not-found", 404, "Not found"


class AgentNotFound(ServiceError):
    type, status, title = "agent-not-found", 404, "No such agent"


class TurnNotFound(ServiceError):
    type, status, title = "turn-not-found", 404, "No such turn"


class ToolNotFound(ServiceError):
    type, status, title = "tool-not-found", 404, "No such tool"


class KeyNotFound(ServiceError):
    type, status, title = "key-not-found", 404, "No such key"


class EventsGone(ServiceError):
    type, status, title = "events-gone", 410, "These events are no longer retained"


# --- the request is not understood -----------------------------------------------------------------------------------


class MalformedRequest(ServiceError):
    type, status, title = "malformed-request", 400, "This is no request of HTTP/1.1"


class MalformedBody(ServiceError):
    type, status, title = "malformed-body", 400, "The body is not valid JSON"


class MalformedCursor(ServiceError):
    type, status, title = "malformed-cursor", 400, "The cursor is not a sequence number"


class MalformedHeader(ServiceError):
    type, status, title = "malformed-header", 400, "A header is not valid"


class BodyTooLarge(ServiceError):
    type, status, title = "body-too-large", 413, "The body is too large"


class HeadTooLarge(ServiceError):
    type, status, title = "head-too-large", 431, "The head of the request is too large"


class RequestTooSlow(ServiceError):
    type, status, title = "request-too-slow", 408, "The request came too slowly"


class UnsupportedMediaType(ServiceError):
    type, status, title = "unsupported-media-type", 415, "The body must be JSON"


class MisdirectedHost(ServiceError):
    type, status, title = "misdirected-host", 421, "This Host is not served here"


class ForeignOrigin(ServiceError):
    type, status, title = "foreign-origin", 403, "Writes from this Origin are not allowed"


class Unauthorized(ServiceError):
    type, status, title = "unauthorized", 401, "A valid key is needed"


class MissingScope(ServiceError):
    """``scope`` is what the key would need."""

    type, status, title = "missing-scope", 403, "The key does not allow this"


class MethodNotAllowed(ServiceError):
    type, status, title = "method-not-allowed", 405, "This method is not allowed here"


class InvalidRequest(ServiceError):
    """``errors`` is a list of ``{"pointer", "detail"}``: JSON pointers (RFC 6901) into the body, or parameters."""

    type, status, title = "invalid-request", 422, "The request is not valid"

    def __init__(self, detail: str, *, errors: Sequence[Mapping[str, str]] = (), **fields: Any) -> None:
        super().__init__(detail, errors=list(errors), **fields)

    @classmethod
    def of_parts(cls, parts: Mapping[str, "InvalidRequest"]) -> "InvalidRequest":
        """One error about several parts of a body, by their pointers; of one part alone, all that was said of it."""
        found = (
            {**error, "pointer": place + error["pointer"]}
            for place, part in parts.items()
            for error in part.fields["errors"]
        )
        first = next(iter(parts.values()))
        detail = first.detail if len(parts) == 1 else f"{len(parts)} parts of the body are not valid."
        kind = type(first) if len({type(part) for part in parts.values()}) == 1 else cls
        return kind(detail, errors=list(islice(found, 100)))


class InvalidArguments(InvalidRequest):
    type, title = "invalid-arguments", "The arguments do not fit the tool"


class ToolNotAccepted(InvalidRequest):
    type, title = "tool-not-accepted", "This agent does not accept this tool"


class SubmitRejected(InvalidRequest):
    type, title = "submit-rejected", "A hook of the agent rejected the turn"


class KeyReused(ServiceError):
    type, status, title = "idempotency-key-reused", 422, "This Idempotency-Key was used with another body"


# --- the state does not allow it -------------------------------------------------------------------------------------


class AgentExists(ServiceError):
    type, status, title = "agent-exists", 409, "An agent of this name exists with another definition"


class AgentGone(ServiceError):
    type, status, title = "agent-gone", 409, "The agent is gone from the code"


class AgentBusy(ServiceError):
    type, status, title = "agent-busy", 409, "Turns of the agent wait or run"


class CodeAgent(ServiceError):
    type, status, title = "code-agent", 409, "The agent is defined in the code"


class TurnEnded(ServiceError):
    type, status, title = "turn-ended", 409, "The turn has ended"


class TurnNotEnded(ServiceError):
    type, status, title = "turn-not-ended", 409, "The turn has not ended"


class NoAdminKey(ServiceError):
    type, status, title = "no-admin-key", 409, "The first key must be an admin's"


class HopLimit(ServiceError):
    type, status, title = "hop-limit", 422, "The chain of sends is too long"


class MailboxFull(ServiceError):
    type, status, title = "mailbox-full", 429, "The agent's mailbox is full"


class TooManyTickets(ServiceError):
    type, status, title = "too-many-tickets", 429, "The key has too many stream tickets"


# --- the caller has asked too often ----------------------------------------------------------------------------------


class RateLimited(ServiceError):
    """On the address of a stream this is answered as ``stream.closing`` instead: see ``api/streams.py``."""

    type, status, title = "rate-limited", 429, "Too many requests"


class TooManyWrongKeys(ServiceError):
    type, status, title = "too-many-wrong-keys", 429, "Too many wrong keys"


# --- the service cannot, for now -------------------------------------------------------------------------------------


class Draining(ServiceError):
    type, status, title = "draining", 503, "The service is shutting down"


class Unavailable(ServiceError):
    type, status, title = "unavailable", 503, "The service cannot answer for now"


class NoBackup(ServiceError):
    type, status, title = "no-backup", 409, "This store has no file to copy"


class Damaged(ServiceError):
    """What is stored is not what was written. It is never served, and never executed."""

    type, status, title = "damaged", 500, "What is stored is damaged"

    def __init__(self, what: str, **fields: Any) -> None:
        super().__init__(
            f"{what} is not what was written. Stop the service, look with `pygents doctor --full`, and "
            "restore a backup (`pygents restore BACKUP --force`).",
            **fields,
        )


class StoreFull(ServiceError):
    type, status, title = "store-full", 507, "There is no space left to store this"


class Fenced(ServiceError):
    """A write by somebody who does not own the agent, or for a turn that is not running. Nothing is written."""

    type, status, title = "fenced", 409, "The agent has another owner"


# --- the service cannot start ----------------------------------------------------------------------------------------


class StartupError(ServiceError):
    """Why the service does not start, in one line that says what to do. The CLI prints it and exits with 2.

    ``passes``: it may pass without anybody's doing, so that whoever starts services should try again. The CLI exits
    with 75 (EX_TEMPFAIL of sysexits.h).
    """

    type, status, title = "startup", 500, "The service cannot start"

    def __init__(self, detail: str, *, passes: bool = False) -> None:
        super().__init__(detail)
        self.exit_code = 75 if passes else 2
