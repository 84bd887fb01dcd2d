"""Frames as bytes, and cursors as text."""

import json

import pytest
from msgspec.structs import replace

from pygents_app.errors import MalformedCursor
from pygents_app.model import Event, EventType
from pygents_app.streaming import sse

EVENT = Event("greeter", 42, EventType.TURN_VALUE, "0198", 1, 1_700_000_000_000_000, b'{"index":0,"value":"Hi"}')


def test_a_frame() -> None:
    assert sse.frame(EVENT) == (
        b"id: 42\nevent: turn.value\n"
        b'data: {"seq":42,"type":"turn.value","agent":"greeter","turn_id":"0198","attempt":1,'
        b'"time":"2023-11-14T22:13:20.000000Z","data":{"index":0,"value":"Hi"}}\n\n'
    )


def test_an_agents_event_has_all_seven_keys() -> None:
    event = replace(EVENT, type=EventType.AGENT_PAUSED, turn_id=None, attempt=None, data=b"{}")
    decoded = json.loads(sse.event_json(event))
    assert list(decoded) == ["seq", "type", "agent", "turn_id", "attempt", "time", "data"]
    assert decoded["turn_id"] is decoded["attempt"] is None


def test_frames_that_are_not_events() -> None:
    assert sse.anchor(7) == b"id: 7\n\n"
    assert sse.retry(1500) == b"retry: 1500\n\n"
    assert sse.PING == b": ping\n\n"
    assert sse.closing("draining") == b'event: stream.closing\ndata: {"reason":"draining"}\n\n'
    assert sse.reset("unknown", 9, 1, 5) == (
        b'event: stream.reset\ndata: {"reason":"unknown","cursor":9,"earliest":1,"latest":5}\n\n'
    )


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_line_ends_of_unicode_are_escaped(character: str) -> None:
    raw = json.dumps(f"a{character}b{character}\u4e2d", ensure_ascii=False).encode()
    line = sse.one_line(raw)
    assert line == f'"a\\u{ord(character):04x}b\\u{ord(character):04x}\u4e2d"'.encode()


def test_white_space_between_tokens_stays_on_the_line() -> None:
    assert sse.one_line(b'{\n  "a":\r\n 1}') == b'{   "a":   1}'


@pytest.mark.parametrize(("given", "cursor"), [("", None), ("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_cursors(given: str, cursor: int | None) -> None:
    assert sse.parse_cursor(given) == cursor


@pytest.mark.parametrize(
    "given",
    [
        "-5",
        "+1",
        "1_0",
        " 1",
        "1 ",
        "1\n",
        "1.0",
        "1e3",
        "abc",
        "\u0661",
        "\xb2",
        "9" * 19,
        "9" * 24,
        "0x1",
        "latest",
        "\0",
    ],
)
def test_malformed_cursors(given: str) -> None:
    with pytest.raises(MalformedCursor):
        sse.parse_cursor(given)
