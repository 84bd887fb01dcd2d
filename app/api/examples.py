"""The examples of the OpenAPI document: bodies to send and answers, as they are. Tests send and compare all of them.

They belong together: the agent of the demo that greets, a turn for it, and what may become of that.
"""

from collections.abc import Mapping
from typing import Any

from ..errors import TurnEnded

_ID = "0198a3c4-7e1b-7cc0-8f5e-0242ac120002"
_NOW = "2026-11-22T10:48:0"

# --- what a client sends ---------------------------------------------------------------------------------------------

CREATE_AGENT: Mapping[str, Any] = {
    "name": "greeter",
    "description": "Greets.",
    "tools": ["greet"],
    "labels": {"team": "front"},
}
PATCH_AGENT: Mapping[str, Any] = {"description": "Greets everybody.", "labels": {"team": None, "floor": "2"}}
SUBMIT: Mapping[str, Any] = {
    "tool": "greet",
    "kwargs": {"name": "World"},
    "timeout": 30,
    "metadata": {"for": "the front page"},
}
SUBMIT_BATCH: list[Mapping[str, Any]] = [
    {"tool": "greet", "kwargs": {"name": "Ada"}},
    {"tool": "greet", "args": ["Grace"], "delay": 60},
]
CANCEL: Mapping[str, Any] = {"reason": "no longer needed"}

# --- what it is answered ---------------------------------------------------------------------------------------------

AGENT: Mapping[str, Any] = {
    "name": "greeter",
    "description": "Greets.",
    "tools": ["greet"],
    "missing_tools": [],
    "hooks": {},
    "labels": {"team": "front"},
    "source": "api",
    "status": "idle",
    "paused": False,
    "current_turn": None,
    "queued": 0,
    "scheduled": 0,
    "oldest_queued_at": None,
    "last_error": None,
    "earliest": 1,
    "latest": 1,
    "node": None,
    "created_at": f"{_NOW}0.000001Z",
    "updated_at": f"{_NOW}0.000001Z",
    "links": {
        "self": "/agents/greeter",
        "turns": "/agents/greeter/turns",
        "stream": "/agents/greeter/stream",
        "events": "/agents/greeter/events",
    },
}

TOOL: Mapping[str, Any] = {
    "name": "greet",
    "description": "Greet somebody.",
    "input_schema": {
        "type": "object",
        "properties": {"name": {"type": "string", "title": "Name"}},
        "required": ["name"],
        "additionalProperties": False,
    },
    "streaming": False,
    "lock": False,
    "links": {"self": "/tools/greet"},
}


def _turn(changes: Mapping[str, Any], id_: str = _ID) -> dict[str, Any]:
    """A turn that was just accepted, with ``changes``."""
    path = f"/agents/greeter/turns/{id_}"
    queued = {
        "id": id_, "agent": "greeter", "tool": "greet", "args": [], "kwargs": {"name": "World"}, "timeout": 30.0,
        "metadata": {"for": "the front page"}, "status": "queued", "stop_reason": None, "position": 1,
        "waiting_for": None, "attempt": 0, "retry": None, "retry_of": None, "created_at": f"{_NOW}1.000001Z",
        "not_before": None, "start_time": None, "end_time": None, "output": None, "values": 0, "error": None,
        "parent": None, "root": id_, "hops": 0, "truncated": [],
        "links": {"self": path, "agent": "/agents/greeter", "stream": f"{path}/stream", "cancel": f"{path}/cancel"},
    }  # fmt: skip
    return {**queued, **changes}


_STARTED = {"position": None, "attempt": 1, "start_time": f"{_NOW}1.000001Z"}
_END = {"position": None, "end_time": f"{_NOW}1.000301Z"}
_LATER = {
    "status": "scheduled", "position": None, "waiting_for": "delay", "not_before": "2026-11-22T10:49:01.000001Z",
}  # fmt: skip
_NO_PERSON = {"type": "ValueError", "message": "no such person"}

TURN_QUEUED = _turn({})
TURN_RUNNING = _turn({"status": "running", **_STARTED})
TURN_COMPLETED = _turn(
    {"status": "completed", "stop_reason": "completed", "output": "Hello, World!", "values": 1, **_STARTED, **_END}
)
TURN_ERROR = _turn({"status": "error", "stop_reason": "error", "error": _NO_PERSON, **_STARTED, **_END})
TURN_CANCELLED = _turn({"status": "cancelled", "stop_reason": "cancelled", **_END})
TURNS: Mapping[str, Any] = {
    "items": [
        _turn({"kwargs": {"name": "Ada"}, "timeout": 60.0, "metadata": {}}),
        _turn({"args": ["Grace"], "kwargs": {}, "timeout": 60.0, "metadata": {}, **_LATER}, _ID[:-1] + "3"),
    ]
}


def _event(seq: int, type_: str, data: Mapping[str, Any], attempt: int | None = None) -> dict[str, Any]:
    return {
        "seq": seq, "type": type_, "agent": "greeter", "turn_id": None if attempt is None else _ID, "attempt": attempt,
        "time": f"{_NOW}1.00000{seq}Z", "data": data,
    }  # fmt: skip


EVENTS: Mapping[str, Any] = {
    "items": [
        _event(
            1, "agent.created", {"description": "Greets.", "tools": ["greet"], "hooks": {}, "labels": {"team": "front"}}
        ),
        _event(
            2, "turn.queued",
            {
                "tool": "greet", "args": [], "kwargs": {"name": "World"}, "metadata": {"for": "the front page"},
                "not_before": None, "parent": None,
            },
            attempt=0,
        ),
        _event(3, "turn.started", {}, attempt=1),
        _event(4, "turn.value", {"index": 0, "value": "Hello, World!"}, attempt=1),
        _event(5, "turn.completed", {"output": "Hello, World!", "values": 1}, attempt=1),
    ],
    "next": None,
}  # fmt: skip

ENDED = TurnEnded("The turn had ended (completed) before it could be cancelled.", turn=TURN_COMPLETED)
"""The one problem that has a turn in it."""

CREATE_KEY: Mapping[str, Any] = {
    "name": "the support desk's page", "scopes": ["stream:read@support-*", "turns:write@support-*"],
    "expires_in": 7_776_000,
}  # fmt: skip
CREATE_TICKET: Mapping[str, Any] = {"agents": ["greeter"]}
SIGN_IN: Mapping[str, Any] = {"key": f"pyg_0198a3c47e1b_{'0' * 64}"}

NAMED: Mapping[str, Any] = {
    "create-agent": CREATE_AGENT,
    "patch-agent": PATCH_AGENT,
    "submit": SUBMIT,
    "submit-batch": SUBMIT_BATCH,
    "cancel": CANCEL,
    "create-key": CREATE_KEY,
    "create-ticket": CREATE_TICKET,
    "sign-in": SIGN_IN,
    "agent": AGENT,
    "tool": TOOL,
    "turn-queued": TURN_QUEUED,
    "turn-running": TURN_RUNNING,
    "turn-completed": TURN_COMPLETED,
    "turn-error": TURN_ERROR,
    "turn-cancelled": TURN_CANCELLED,
    "turns": TURNS,
    "events": EVENTS,
}
