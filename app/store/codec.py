"""Records to rows and back. The order of the columns is that of the statements in ``sql/`` and of the views."""

import json
from typing import Any

from .. import retries
from ..model import (
    CancelRequest,
    Definition,
    Event,
    EventType,
    Head,
    ListedAgent,
    PlacedTurn,
    Turn,
    TurnRef,
    TurnSpec,
    TurnStatus,
)

Row = tuple[Any, ...]

_EVENT_TYPES = {type_.value: type_ for type_ in EventType}
_STATUSES = {status.value: status for status in TurnStatus}


def definition_text(definition: Definition) -> str:
    return json.dumps(
        {
            "name": definition.name,
            "description": definition.description,
            "tools": list(definition.tools),
            "hooks": {kind: list(names) for kind, names in definition.hooks.items()},
            "labels": dict(definition.labels),
            "memory_limit": definition.memory_limit,
            "source": definition.source,
        }
    )


def definition_of(text: str) -> Definition:
    stored = json.loads(text)
    stored["tools"] = tuple(stored["tools"])
    stored["hooks"] = {kind: tuple(names) for kind, names in stored["hooks"].items()}
    return Definition(**stored)


def counters(head: Head) -> Row:
    """What of a head changes with its turns."""
    return (
        head.paused, head.node, head.epoch, head.current, head.queued, head.scheduled, head.joined, head.begun,
        head.earliest, head.latest, head.retry_at, head.last_error, head.deleted_at, head.skipped,
    )  # fmt: skip


def agent_row(head: Head) -> Row:
    return (head.name, definition_text(head.definition), head.created_at, head.updated_at, *counters(head))


def head_of(row: Row) -> Head:
    """From the columns of ``definition`` to ``skipped``."""
    definition, created_at, updated_at, paused, *rest = row
    return Head(definition_of(definition), created_at, updated_at, bool(paused), *rest)


def listed_agent(row: Row) -> ListedAgent:
    return ListedAgent(head_of(row[:17]), row[17])


def turn_row(turn: Turn, agent: int) -> Row:
    spec = turn.spec
    parent_agent, parent_id = spec.parent or (None, None)
    by, reason = turn.cancel or (None, None)
    return (
        spec.id, agent, spec.tool, spec.args, spec.kwargs, spec.metadata, spec.timeout, spec.not_before, parent_agent,
        parent_id, spec.root, spec.hops, retries.encoded(spec.retry), spec.retry_of, turn.status.value, turn.created_at,
        turn.first_seq, turn.last_seq, turn.position, turn.attempt, turn.start_time, turn.end_time, turn.values,
        turn.output, turn.error, by, reason, turn.started_seq, turn.retry_at, turn.spared, turn.crashes,
    )  # fmt: skip


def changed_turn_row(turn: Turn) -> Row:
    """What of a turn changes, and its id."""
    by, reason = turn.cancel or (None, None)
    return (
        turn.status.value, turn.last_seq, turn.attempt, turn.start_time, turn.end_time, turn.values, turn.output,
        turn.error, by, reason, turn.started_seq, turn.retry_at, turn.spared, turn.crashes, turn.spec.id,
    )  # fmt: skip


def turn_of(row: Row) -> Turn:
    parent = TurnRef(row[8], row[9]) if row[8] is not None else None
    cancel = CancelRequest(row[25], row[26]) if row[25] is not None else None
    id_, agent, tool, args, kwargs, metadata, timeout, not_before = row[:8]
    retry = retries.decoded(row[12]) if row[12] is not None else None
    spec = TurnSpec(
        id_, agent, tool, args, kwargs, metadata, timeout, not_before, parent, row[10], row[11], retry, row[13],
    )  # fmt: skip
    return Turn._make((spec, _STATUSES[row[14]], *row[15:25], cancel, *row[27:31]))


def placed_turn(row: Row) -> PlacedTurn:
    return PlacedTurn(turn_of(row), row[31])


def event_row(event: Event, agent: int) -> Row:
    return (agent, event.seq, event.type.value, event.turn_id, event.attempt, event.time, event.data)


def event_of(agent: str, row: Row) -> Event:
    seq, type_, *rest = row
    return Event(agent, seq, _EVENT_TYPES[type_], *rest)
