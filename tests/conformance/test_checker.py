"""The checker itself: it finds what is not as described, and lets pass what is."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.checker import PROBLEM, Answer, conformance, frames

JSON = {"content-type": "application/json", "x-request-id": "1"}
HEALTH = Answer("GET", "/healthz", 200, JSON, b'{"status":"ok"}')
GONE = {
    "type": "urn:pygents:problem:agent-not-found", "title": "No such agent", "status": 404, "detail": "There is none.",
}  # fmt: skip


def problem(members: Mapping[str, Any]) -> Answer:
    return Answer("GET", "/agents/a", 404, {**JSON, "content-type": PROBLEM}, json.dumps(members).encode())


def stream(*sent: bytes) -> Answer:
    return Answer("GET", "/agents/a/stream", 200, {**JSON, "content-type": "text/event-stream"}, b"".join(sent))


PAUSED = (
    b'id: 3\nevent: agent.paused\ndata: {"seq":3,"type":"agent.paused","agent":"a","turn_id":null,"attempt":null,'
    b'"time":"2026-11-22T10:48:00.000001Z","data":{}}\n\n'
)


@pytest.mark.parametrize(
    "answer",
    [
        HEALTH,
        replace(HEALTH, method="HEAD", body=b""),
        problem(GONE),
        stream(
            b"retry: 2000\n\nid: 2\n\n", PAUSED, b": ping\n\n", b'event: stream.closing\ndata: {"reason":"busy"}\n\n'
        ),
        stream(PAUSED, b"id: 4\nevent: cut in the mid"),
        Answer("GET", "/nowhere", 404, JSON, b""),
        Answer("PUT", "/agents", 405, JSON, b""),
    ],
    ids=["json", "head", "problem", "stream", "cut stream", "no address", "no method"],
)
def test_what_is_described_passes(answer: Answer) -> None:
    conformance().check(answer)


@pytest.mark.parametrize(
    "answer",
    [
        replace(HEALTH, status=418),
        replace(HEALTH, headers={"content-type": "application/json"}),
        replace(HEALTH, headers={**JSON, "content-type": "text/plain"}),
        replace(HEALTH, body=b'{"status":"well"}'),
        replace(HEALTH, body=b'{"status":"ok","more":1}'),
        replace(HEALTH, method="HEAD"),
        problem({**GONE, "type": "urn:pygents:problem:tool-not-found"}),
        problem({**GONE, "more": 1}),
        stream(PAUSED.replace(b'"data":{}', b'"data":{"more":1}')),
        stream(PAUSED.replace(b"event: agent.paused", b"event: agent.resumed")),
        stream(PAUSED.replace(b"id: 3\n", b"")),
        stream(b'event: stream.closing\ndata: {"reason":"tired"}\n\n'),
        Answer("DELETE", "/agents/a", 204, {"x-request-id": "1"}, b"more"),
        Answer("GET", "/nowhere", 418, JSON, b""),
        problem({**GONE, "detail": "no such table: SELECT name FROM agents"}),
        problem({**GONE, "detail": 'File "/srv/app/store.py", line 1'}),
    ],
    ids=[
        "status", "header", "content type", "value", "member", "body of a head", "type of a problem",
        "member of a problem", "data of an event", "event of another name", "event without id", "closing", "no content",
        "status of no address", "a statement", "a place in the code",
    ],
)  # fmt: skip
def test_what_is_not_described_is_found(answer: Answer) -> None:
    with pytest.raises(AssertionError):
        conformance().check(answer)


def test_frames_are_fields() -> None:
    read = list(frames(b": ping\n\nretry: 5\n\nid: 1\nevent: e\ndata: {}\n\nid: 2"))
    assert read == [{"retry": 5}, {"id": "1", "event": "e", "data": "{}"}]
