"""Records to rows and back. The order of the columns is that of the statements in ``sql/`` and of the views."""

import json
from typing import Any

from .. import retries
from ..errors import Damaged
from ..model import (
    ENDED,
    Asker,
    CancelRequest,
    Definition,
    Event,
    EventType,
    Head,
    KeyRecord,
    ListedAgent,
    PlacedTurn,
    Trace,
    Turn,
    TurnRef,
    TurnSpec,
    TurnStatus,
)
from . import checksums

Row = tuple[Any, ...]

_EVENT_TYPES = {type_.value: type_ for type_ in EventType}
_STATUSES = {status.value: status for status in TurnStatus}


ENDS = frozenset(status.value for status in ENDED)
NO_ASKER = (None, None)


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


def definition_row(head: Head) -> Row:
    """What of a head changes with its definition: that, its checksum, and when it was made and changed."""
    text = definition_text(head.definition)
    return (text, checksums.of_parts(text, head.created_at, head.updated_at), head.created_at, head.updated_at)


def counters(head: Head) -> Row:
    """What of a head changes with its turns, and its checksum."""
    row = (
        head.paused, head.node, head.epoch, head.current, head.queued, head.scheduled, head.joined, head.begun,
        head.earliest, head.latest, head.retry_at, head.last_error, head.deleted_at, head.skipped,
    )  # fmt: skip
    return (*row, checksums.of_parts(head.name, *row))


def agent_row(head: Head) -> Row:
    return (head.name, *definition_row(head), *counters(head))


def head_of(row: Row) -> Head:
    """From the columns of ``definition`` to ``skipped``, ``crc`` and ``head_crc``. Raises Damaged."""
    definition, created_at, updated_at, paused, *rest, crc, head_crc = row
    if checksums.of_parts(definition, created_at, updated_at) != crc:
        raise Damaged("The definition of an agent")
    head = Head(definition_of(definition), created_at, updated_at, bool(paused), *rest)
    if checksums.of_parts(head.name, bool(paused), *rest) != head_crc:
        raise Damaged(f"The row of agent {head.name!r}", agent=head.name)
    return head


def listed_agent(row: Row) -> ListedAgent:
    """Raises Damaged."""
    head = head_of((*row[:17], *row[20:22]))
    if row[19] != head.name:
        raise Damaged(f"The name of agent {head.name!r}", agent=head.name)
    return ListedAgent(head, row[17])


def new_turn_row(turn: Turn, agent: int) -> Row:
    """A turn as it was accepted, perhaps begun at once; what it cannot have yet is left to the table's defaults."""
    spec = turn.spec
    parent_agent, parent_id = spec.parent or (None, None)
    asker = spec.asker
    row = (
        spec.id, agent, spec.tool, spec.args, spec.kwargs, spec.metadata, float(spec.timeout), spec.not_before,
        parent_agent, parent_id, spec.root, spec.hops, retries.encoded(spec.retry), spec.retry_of, turn.status.value,
        turn.created_at, turn.first_seq, turn.last_seq, turn.position, turn.attempt, turn.start_time, turn.started_seq,
    )  # fmt: skip
    return (*row, *(asker or NO_ASKER), checksums.of_spec(spec.agent, row, asker))


def changed_turn_row(turn: Turn) -> Row:
    """What of a turn changes, and its id."""
    by, reason = turn.cancel or (None, None)
    row = (
        turn.attempt, turn.start_time, turn.end_time, turn.values, turn.output, turn.error, by, reason,
        turn.started_seq, turn.retry_at, turn.spared, turn.crashes,
    )  # fmt: skip
    status = turn.status.value
    crc = checksums.of_end(turn.id, status, (turn.last_seq, turn.position, *row)) if turn.ended else None
    return (status, turn.last_seq, *row, crc, turn.id)


def turn_of(row: Row) -> Turn:
    """Also of a row that is not what was written: it is marked, and must be neither shown nor executed."""
    damaged = is_damaged_turn(row)
    if damaged:
        row = _readable(row)
    parent = TurnRef(row[8], row[9]) if row[8] is not None else None
    cancel = CancelRequest(row[25], row[26]) if row[25] is not None else None
    id_, agent, tool, args, kwargs, metadata, timeout, not_before = row[:8]
    retry = retries.decoded(row[12]) if row[12] is not None else None
    spec = TurnSpec(
        id_, agent, tool, args, kwargs, metadata, timeout, not_before, parent, row[10], row[11], retry, row[13],
        asker=_asker_of(row),
    )  # fmt: skip
    columns = [*row[15:25], cancel, *row[27:31], damaged]
    return Turn(spec, _STATUSES[row[14]], *columns)


def is_damaged_turn(row: Row) -> bool:
    """Of the columns of the view: whether the row is not what was written."""
    if checksums.of_spec(row[1], row, _asker_of(row)) != row[34]:
        return True
    return (row[14] in ENDS) != (row[35] is not None) or (row[35] is not None and _end_crc(row) != row[35])


def _asker_of(row: Row) -> Asker | None:
    """The view of a file from before has no columns for it."""
    asker = row[36:38]
    return Asker(*asker) if asker and asker != NO_ASKER else None


def _end_crc(row: Row) -> int:
    return checksums.of_end(row[0], row[14], row[17:31])


def _readable(row: Row) -> Row:
    """With what cannot be decoded left out."""
    status = row[14] if row[14] in _STATUSES else TurnStatus.ERROR.value
    pieces = [piece if isinstance(piece, bytes) else b"null" for piece in row[3:6]]
    return (*row[:3], *pieces, *row[6:12], None, row[13], status, *row[15:])


def placed_turn(row: Row) -> PlacedTurn:
    """Raises Damaged."""
    turn = turn_of(row)
    if turn.damaged:
        raise Damaged(f"Turn {turn.id} of agent {turn.spec.agent!r}", agent=turn.spec.agent, turn_id=turn.id)
    return PlacedTurn(turn, row[31])


def event_row(event: Event, agent: int) -> Row:
    row = (agent, event.seq, event.type.value, event.turn_id, event.attempt, event.time, event.data)
    return (*row, checksums.of_parts(*row))


def event_of(agent: str, row: Row) -> Event | None:
    """From the columns of ``events``; None if the row is not what was written."""
    *stored, crc = row
    if checksums.of_parts(*stored) != crc:
        return None
    _, seq, type_, *rest = stored
    return Event(agent, seq, _EVENT_TYPES[type_], *rest)


def record_row(record: KeyRecord, agent: int, now: int) -> Row:
    ids = " ".join(record.turn_ids)
    crc = checksums.of_parts(agent, record.caller, record.key, record.digest, ids)
    return (agent, record.caller, record.key, record.digest, ids, record.turn_ids[0], now, crc)


def record_of(row: Row, agent: str, number: int, caller: str, key: str) -> KeyRecord:
    """Raises Damaged."""
    digest, ids, crc = row
    if checksums.of_parts(number, caller, key, digest, ids) != crc:
        raise Damaged(f"The record of an Idempotency-Key of agent {agent!r}", agent=agent)
    return KeyRecord(agent, caller, key, digest, tuple(ids.split()))


def trace_row(turn_id: str, trace: Trace) -> Row:
    return (turn_id, *trace, checksums.of_parts(turn_id, *trace))


def trace_of(row: Row) -> Trace:
    """Raises Damaged."""
    turn_id, parent, state, crc = row
    if checksums.of_parts(turn_id, parent, state) != crc:
        raise Damaged(f"The trace of turn {turn_id}", turn_id=turn_id)
    return Trace(parent, state)


def memory_row(memory: bytes, agent: int) -> Row:
    return (agent, memory, checksums.of_parts(agent, memory))


def memory_of(row: Row, agent: str) -> bytes:
    """Raises Damaged."""
    number, memory, crc = row
    if checksums.of_parts(number, memory) != crc:
        raise Damaged(f"The memory of agent {agent!r}", agent=agent)
    return bytes(memory)
