"""Agents and turns as JSON, as clients see them.

Arguments, metadata, output and errors are stored as JSON: they are joined into the answer, never decoded and encoded
again.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from pygents_core.tool import Retry, Tool

from ..model import Definition, Head, ListedAgent, PlacedTurn, Turn, TurnStatus
from ..payloads import INLINE_LIMIT, inline, members, moment, ref, text
from ..retries import encoded
from .queries import AgentStatus

WaitingFor = Literal["previous", "delay", "retry", "lock", "paused", "tool"]

TURN_KEYS = (
    "id", "agent", "tool", "args", "kwargs", "timeout", "metadata", "status", "stop_reason", "position", "waiting_for",
    "attempt", "retry", "retry_of", "created_at", "not_before", "start_time", "end_time", "output", "values", "error",
    "parent", "root", "hops", "truncated", "links",
)  # fmt: skip
_TURN = b"{" + b",".join(b'"%s":%%s' % key.encode() for key in TURN_KEYS) + b"}"
_NULL = b"null"
_STATUSES = {status: b'"%s"' % status.encode() for status in TurnStatus}


def turn_json(placed: PlacedTurn, waiting_for: WaitingFor | None, *, whole: bool = True, bare: bool = False) -> bytes:
    """One turn. Unless ``whole``, pieces over 64 KiB are null and named in ``truncated``; if ``bare``, any."""
    turn, place = placed.turn, placed.place
    spec = turn.spec
    args, kwargs, metadata, output, truncated = spec.args, spec.kwargs, spec.metadata, turn.output or _NULL, b"[]"
    if bare or not whole:
        most = -1 if bare else INLINE_LIMIT
        pieces, names = inline(most=most, args=args, kwargs=kwargs, metadata=metadata, output=turn.output)
        args, kwargs, metadata, output = pieces.values()
        truncated = json.dumps(names).encode()
    agent, turn_id, status = spec.agent.encode(), spec.id.encode(), _STATUSES[turn.status]
    return _TURN % (
        b'"%s"' % turn_id, b'"%s"' % agent, _text(spec.tool), args, kwargs, _number(spec.timeout), metadata,
        status, status if turn.ended else _NULL, b"%d" % place if place is not None else _NULL,
        _quoted(waiting_for) if waiting_for else _NULL, b"%d" % turn.attempt, _retry(spec.retry), text(spec.retry_of),
        moment(turn.created_at), moment(spec.not_before), moment(turn.start_time), moment(turn.end_time),
        output, b"%d" % turn.values, turn.error or _NULL, ref(spec.parent), _quoted(spec.root or spec.id),
        b"%d" % spec.hops, truncated, _turn_links(agent, turn_id),
    )  # fmt: skip


def waiting_for(
    placed: PlacedTurn,
    *,
    paused: bool = False,
    owned: bool = False,
    has_lock: bool = True,
    has_tool: bool = True,
    retries: bool = False,
) -> WaitingFor | None:
    """What a turn that has not begun waits for; None if it is about to begin. The order says what to mend first.

    ``owned``: a turn of the agent runs, or the code of one has not stopped. ``retries``: its last attempt has failed,
    and the time of the next one has not come.
    """
    turn, place = placed.turn, placed.place
    if turn.status is TurnStatus.SCHEDULED:
        return "delay"
    if turn.status is not TurnStatus.QUEUED:
        return None
    if place is not None and place > 1:
        return "previous"
    causes: tuple[tuple[WaitingFor, bool], ...] = (
        ("lock", not has_lock), ("paused", paused), ("tool", not has_tool), ("retry", retries), ("previous", owned),
    )  # fmt: skip
    return next((cause for cause, holds in causes if holds), None)


def turn_path(turn: Turn) -> str:
    return f"/agents/{turn.spec.agent}/turns/{turn.id}"


def agent_json(listed: ListedAgent, status: AgentStatus, missing_tools: Iterable[str]) -> bytes:
    head = listed.head
    definition = head.definition
    path = f"/agents/{head.name}"
    pieces = {
        "name": _quoted(head.name), "description": text(definition.description),
        "tools": _array(definition.tools), "missing_tools": _array(missing_tools),
        **_labelled(definition), "source": _quoted(definition.source), "status": _quoted(status),
        "paused": b"true" if head.paused else b"false", "current_turn": text(head.current),
        **_figures(head), "oldest_queued_at": moment(listed.oldest_queued_at), "last_error": head.last_error or _NULL,
        "earliest": b"%d" % head.earliest, "latest": b"%d" % head.latest, "node": text(head.node),
        "created_at": moment(head.created_at), "updated_at": moment(head.updated_at),
        "links": _object(
            {"self": path, "turns": f"{path}/turns", "stream": f"{path}/stream", "events": f"{path}/events"}
        ),
    }  # fmt: skip
    return members(pieces)


def tool_value(tool: Tool) -> dict[str, object]:
    """A tool. The values of its fixed arguments are not shown: they may be secrets."""
    name = tool.metadata.name
    return {
        "name": name,
        "description": tool.metadata.description,
        "input_schema": tool.schema.json_schema,
        "streaming": tool.is_streaming,
        "lock": tool.lock is not None,
        "links": {"self": f"/tools/{name}"},
    }


def page_json(items: Iterable[bytes], following: str | None) -> bytes:
    return b'{"items":[%s],"next":%s}' % (b",".join(items), text(following))


# --- pieces ----------------------------------------------------------------------------------------------------------


def _quoted(plain: str) -> bytes:
    """A string that needs no escapes: names, ids and words of ours."""
    return b'"%s"' % plain.encode()


@lru_cache(1024)
def _text(name: str) -> bytes:
    return text(name)


@lru_cache(256)
def _number(seconds: float) -> bytes:
    return json.dumps(seconds).encode()


@lru_cache(64)
def _retry(policy: Retry | None) -> bytes:
    return (encoded(policy) or "null").encode()


def _array(names: Iterable[str]) -> bytes:
    return b"[" + b",".join(_text(name) for name in names) + b"]"


def _labelled(definition: Definition) -> dict[str, bytes]:
    hooks = {type_: list(names) for type_, names in definition.hooks.items()}
    return {"hooks": _object(hooks), "labels": _object(dict(definition.labels))}


def _object(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _figures(head: Head) -> dict[str, bytes]:
    return {"queued": b"%d" % head.queued, "scheduled": b"%d" % head.scheduled}


def _turn_links(agent: bytes, turn_id: bytes) -> bytes:
    path = b"/agents/%s/turns/%s" % (agent, turn_id)
    return b'{"self":"%s","agent":"/agents/%s","stream":"%s/stream","cancel":"%s/cancel"}' % (path, agent, path, path)
