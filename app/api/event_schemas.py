"""Events and the frames of the streams, as models: for the OpenAPI description only.

What is really written is in ``payloads`` and ``streaming.sse``; tests hold the two together.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field

from ..model import EventType
from ..streaming.sse import Closing, Reset
from .references import reference
from .schemas import Shown, TurnError, TurnParent

# --- the data of each type -------------------------------------------------------------------------------------------


class Nothing(Shown):
    """No data."""


class AgentDefinition(Shown):
    """The agent as it is from now on."""

    description: str
    tools: list[str]
    hooks: dict[str, list[str]]
    labels: dict[str, str]


class Cut(Shown):
    """Data whose large members may be null."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    truncated: list[str] = Field(default_factory=list, description="Members that are null here, being large; if any.")


class Restored(Shown):
    """The numbers in between are not used."""

    after: int = Field(ge=0, description="Sequence number of the last event before the restore; 0 if there is none.")


class TurnQueued(Cut):
    tool: str
    args: list[Any] | None = Field(description="Null if larger than 64 KiB.")
    kwargs: dict[str, Any] | None = Field(description="Null if larger than 64 KiB.")
    metadata: dict[str, Any] | None = Field(description="Null if larger than 64 KiB.")
    not_before: datetime | None = Field(description="When it joins the mailbox; null: at once.")
    parent: TurnParent | None


class TurnValue(Shown):
    index: int = Field(ge=0)
    value: Any = Field(description="Any JSON.")


class TurnCompleted(Cut):
    output: Any = Field(description="Any JSON. Of a generator the list of its values; null if larger than 64 KiB.")
    values: int = Field(ge=0, description="How many values it has given.")
    next: str = Field(default_factory=str, description="Id of the turn that the tool returned, if it returned one.")


class TurnRetrying(Shown):
    error: TurnError
    next_attempt_at: datetime
    supersedes: list[tuple[int, int]] = Field(
        description="Ranges of sequence numbers, ends included: the turn's values in them count no more."
    )


class TurnFailed(Shown):
    error: TurnError


class TurnTimedOut(Shown):
    timeout: float = Field(description="Seconds.")


class TurnCancelled(Shown):
    by: str
    reason: str | None


# --- the events ------------------------------------------------------------------------------------------------------


class Logged(Shown):
    seq: int = Field(ge=1, description="Grows by one with each event of the agent; the id on the stream.")
    agent: str
    time: datetime


class AgentFact(Logged):
    turn_id: None
    attempt: None


class TurnFact(Logged):
    turn_id: str
    attempt: int = Field(ge=0, description="0 until the turn has begun.")


class AgentCreatedEvent(AgentFact):
    """The agent was made, by the code that is served or over the API."""

    type: Literal[EventType.AGENT_CREATED]
    data: AgentDefinition


class AgentUpdatedEvent(AgentFact):
    """Its definition has changed."""

    type: Literal[EventType.AGENT_UPDATED]
    data: AgentDefinition


class AgentPausedEvent(AgentFact):
    """The running turn finishes, the next one waits."""

    type: Literal[EventType.AGENT_PAUSED]
    data: Nothing


class AgentResumedEvent(AgentFact):
    """Its turns go on."""

    type: Literal[EventType.AGENT_RESUMED]
    data: Nothing


class AgentDeletedEvent(AgentFact):
    """The last event: the agent is no more."""

    type: Literal[EventType.AGENT_DELETED]
    data: Nothing


class AgentRestoredEvent(AgentFact):
    """The agent was restored from a backup: what happened after that was made is lost."""

    type: Literal[EventType.AGENT_RESTORED]
    data: Restored


class TurnQueuedEvent(TurnFact):
    """A turn was accepted."""

    type: Literal[EventType.TURN_QUEUED]
    data: TurnQueued


class TurnStartedEvent(TurnFact):
    """An attempt was begun. Stored before the tool's first line is executed."""

    type: Literal[EventType.TURN_STARTED]
    data: Nothing


class TurnValueEvent(TurnFact):
    """The tool gave a value."""

    type: Literal[EventType.TURN_VALUE]
    data: TurnValue


class TurnRetryingEvent(TurnFact):
    """An attempt has failed or was lost; the turn waits at the head of the mailbox for the next one."""

    type: Literal[EventType.TURN_RETRYING]
    data: TurnRetrying


class TurnCompletedEvent(TurnFact):
    """Terminal: it completed."""

    type: Literal[EventType.TURN_COMPLETED]
    data: TurnCompleted


class TurnTimeoutEvent(TurnFact):
    """Terminal: it took longer than its timeout."""

    type: Literal[EventType.TURN_TIMEOUT]
    data: TurnTimedOut


class TurnErrorEvent(TurnFact):
    """Terminal: it failed."""

    type: Literal[EventType.TURN_ERROR]
    data: TurnFailed


class TurnCancelledEvent(TurnFact):
    """Terminal: it was cancelled."""

    type: Literal[EventType.TURN_CANCELLED]
    data: TurnCancelled


AGENT_EVENTS: tuple[type[AgentFact], ...] = (
    AgentCreatedEvent, AgentUpdatedEvent, AgentPausedEvent, AgentResumedEvent, AgentDeletedEvent, AgentRestoredEvent,
)  # fmt: skip
TURN_EVENTS: tuple[type[TurnFact], ...] = (
    TurnQueuedEvent, TurnStartedEvent, TurnValueEvent, TurnRetryingEvent,
    TurnCompletedEvent, TurnTimeoutEvent, TurnErrorEvent, TurnCancelledEvent,
)  # fmt: skip


class StreamReset(Shown):
    """The cursor cannot be gone on from: the stream goes on from `earliest`."""

    reason: Reset
    cursor: int
    earliest: int
    latest: int


class StreamClosing(Shown):
    """The stream ends for a cause that passes: connect again."""

    reason: Closing


MODELS: tuple[type[Shown], ...] = (*AGENT_EVENTS, *TURN_EVENTS, StreamReset, StreamClosing)


# --- joined to schemas -----------------------------------------------------------------------------------------------

_ID = {"type": "string", "pattern": "^[0-9]{1,18}$", "description": "The sequence number: the cursor from here on."}
_LAST_ID = {"type": "string", "description": "That of the frame before, to parsers that carry it on."}


def joined() -> dict[str, Any]:
    """The schemas that are made of those of ``MODELS``: one of several events, one of several frames.

    A frame is what OpenAPI 3.2 (§4.14.4) has a schema for: an SSE item as parsed, an object of its fields. Those that
    only set the cursor or the waiting time dispatch nothing, but they are sent.
    """
    frames = {_frame_name(model): _frame(model) for model in (*AGENT_EVENTS, *TURN_EVENTS)}
    control = {
        "CursorFrame": _fields("Only sets the cursor.", {"id": _ID}),
        "RetryFrame": _fields("Only sets the waiting time.", {"retry": {"type": "integer", "minimum": 0}}),
        "StreamResetFrame": _control(StreamReset, "stream.reset"),
        "StreamClosingFrame": _control(StreamClosing, "stream.closing"),
    }
    return {
        "Event": _event(AGENT_EVENTS + TURN_EVENTS, "An immutable fact of an agent's log."),
        "EventPage": _page(),
        **frames,
        **control,
        "StreamFrame": _one_of("A frame of an agent's stream.", [*frames, *control]),
        "TurnStreamFrame": _one_of("A frame of a turn's stream.", [*map(_frame_name, TURN_EVENTS), *control]),
    }


def _event(models: Sequence[type[Logged]], description: str) -> dict[str, Any]:
    mapping = {_type_of(model): reference(model.__name__)["$ref"] for model in models}
    discriminator = {"propertyName": "type", "mapping": mapping}
    return {**_one_of(description, [model.__name__ for model in models]), "discriminator": discriminator}


def _page() -> dict[str, Any]:
    described = "A page of the log. `next` is the `after` of the next page; null at the end."
    following = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    return _fields(described, {"items": {"type": "array", "items": reference("Event")}, "next": following})


def _frame(model: type[Logged]) -> dict[str, Any]:
    fields = {"id": _ID, "event": {"const": _type_of(model)}, "data": _json(model)}
    return _fields(f"`{model.__name__}` on the stream.", fields)


def _control(model: type[Shown], event: str) -> dict[str, Any]:
    """Without an id of its own, so that the client's cursor stays."""
    fields = {"event": {"const": event}, "data": _json(model)}
    return _fields(inspect.getdoc(model) or "", fields, optional={"id": _LAST_ID})


def _json(model: type[Shown]) -> dict[str, Any]:
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": reference(model.__name__)}


def _fields(
    description: str, required: Mapping[str, Any], optional: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    return {
        "type": "object", "description": description, "required": list(required),
        "properties": {**required, **optional}, "additionalProperties": False,
    }  # fmt: skip


def _one_of(description: str, names: Iterable[str]) -> dict[str, Any]:
    return {"description": description, "oneOf": [reference(name) for name in names]}


def _frame_name(model: type[Logged]) -> str:
    return model.__name__.removesuffix("Event") + "Frame"


def _type_of(model: type[Logged]) -> str:
    (type_,) = get_args(model.model_fields["type"].annotation)
    return str(type_)
