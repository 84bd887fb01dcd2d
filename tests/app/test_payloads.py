"""The data of events: JSON that a parser reads back, with large pieces left out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app import payloads
from pygents_app.model import CancelRequest, Outcome, TurnRef, TurnSpec, TurnStatus

BIG = b'"%s"' % (b"x" * payloads.INLINE_LIMIT)


def read(data: bytes) -> Any:
    return json.loads(data)


@given(st.text())
def test_text_is_json(value: str) -> None:
    assert read(payloads.text(value)) == value


def test_text_of_nothing_and_of_lone_surrogates() -> None:
    assert payloads.text(None) == b"null"
    assert read(payloads.text("a\ud800b")) == "a?b"


class TestQueued:
    def test_what_was_asked_for(self) -> None:
        spec = TurnSpec("1", "a", "greet", b'["x"]', b'{"k":1}', b'{"m":2}', 60.0, 1_000_000, TurnRef("p", "2"))
        assert read(payloads.queued(spec)) == {
            "tool": "greet", "args": ["x"], "kwargs": {"k": 1}, "metadata": {"m": 2},
            "not_before": "1970-01-01T00:00:01.000000Z", "parent": {"agent": "p", "id": "2"},
        }  # fmt: skip

    def test_large_pieces_are_null_and_named(self) -> None:
        data = read(payloads.queued(TurnSpec("1", "a", "greet", args=b"[%s]" % BIG, metadata=b'{"m":%s}' % BIG)))
        assert (data["args"], data["kwargs"], data["metadata"]) == (None, {}, None)
        assert data["truncated"] == ["args", "metadata"]

    @pytest.mark.parametrize(("size", "shown"), [(payloads.INLINE_LIMIT, True), (payloads.INLINE_LIMIT + 1, False)])
    def test_the_limit_itself_is_shown(self, size: int, shown: bool) -> None:
        args = b'["%s"]' % (b"x" * (size - 4))
        assert len(args) == size
        assert (read(payloads.queued(TurnSpec("1", "a", "t", args=args)))["args"] is not None) == shown


class TestEnds:
    def test_completed(self) -> None:
        outcome = Outcome(TurnStatus.COMPLETED, output=b'{"x":1}')
        assert read(payloads.completed(outcome, 3, None)) == {"output": {"x": 1}, "values": 3}
        assert read(payloads.completed(outcome, 0, "next-id"))["next"] == "next-id"

    def test_completed_without_or_with_a_large_output(self) -> None:
        assert read(payloads.completed(Outcome(TurnStatus.COMPLETED), 1, None)) == {"output": None, "values": 1}
        large = read(payloads.completed(Outcome(TurnStatus.COMPLETED, output=BIG), 1, None))
        assert (large["output"], large["truncated"]) == (None, ["output"])

    def test_the_others(self) -> None:
        error = payloads.error("ValueError", 'bad "x"\n')
        assert read(payloads.failed(error)) == {"error": {"type": "ValueError", "message": 'bad "x"\n'}}
        assert read(payloads.failed(None)) == {"error": None}
        assert read(payloads.timed_out(1.5)) == {"timeout": 1.5}
        assert read(payloads.cancelled(CancelRequest("me", None))) == {"by": "me", "reason": None}
        assert read(payloads.value(7, b"[null]")) == {"index": 7, "value": [None]}
