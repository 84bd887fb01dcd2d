"""Whatever JSON a tool makes: an independent parser reads back exactly the events that were framed."""

import json
from typing import Any

import httpx
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.model import Event, EventType
from pygents_app.streaming import sse

# What ends lines, ends frames, or looks like a field, more often than chance would have it.
NASTY = st.sampled_from(["\r", "\n", "\r\n", "\n\n", "\u2028", "\u2029", "\x85", "\0", "\ufeff", "\\", '"', "data: ",
                         "\n\nevent: x\ndata: y\n\n", "id: 9", ": ping", "\U0001f600"])  # fmt: skip
TEXT = st.lists(NASTY | st.text(max_size=5), max_size=8).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def encodings(draw: st.DrawFn) -> bytes:
    """JSON bytes in any spelling that is valid: with raw characters or escapes, on one line or on many."""
    value = draw(VALUES)
    indent = draw(st.none() | st.integers(0, 2))
    return json.dumps(value, ensure_ascii=draw(st.booleans()), indent=indent).encode()


EVENTS = st.builds(
    Event,
    agent=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True),
    seq=st.integers(1, 10**18 - 1),
    type=st.sampled_from(EventType),
    turn_id=st.none() | st.uuids().map(str),
    attempt=st.none() | st.integers(1, 99),
    time=st.integers(0, 4_000_000_000_000_000),
    data=encodings(),
)


def parsed(body: bytes) -> list[Any]:
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    return list(EventSource(response).iter_sse())


@given(st.lists(EVENTS, max_size=4))
def test_events_come_out_as_they_went_in(events: list[Event]) -> None:
    between = sse.PING + sse.anchor(3)
    read = [one for one in parsed(between.join(map(sse.frame, events))) if one.data]
    assert [(one.id, one.event) for one in read] == [(str(event.seq), event.type) for event in events]
    for one, event in zip(read, events, strict=True):
        assert json.loads(one.data)["data"] == json.loads(event.data)


@given(encodings())
def test_one_line_keeps_the_value_and_no_line_end(data: bytes) -> None:
    line = sse.one_line(data)
    assert json.loads(line) == json.loads(data)
    assert len(line.decode().splitlines()) == 1
