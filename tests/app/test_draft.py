"""The steps that the rules share: numbering, moving, ending."""

import json
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from pygents_app.commands import AgentReply, Starter
from pygents_app.draft import MOVES, Draft
from pygents_app.model import (
    ENDED,
    CancelRequest,
    Definition,
    EventType,
    Fence,
    Head,
    Outcome,
    Turn,
    TurnSpec,
    TurnStatus,
)

NOW = 1_000
STARTER = Starter("n", frozenset({"t"}))


def draft(**counters: Any) -> Draft:
    return Draft(replace(Head(Definition("a", tools=("t",)), 0, 0, latest=7), **counters), NOW)


def turn(status: TurnStatus = TurnStatus.QUEUED, **columns: Any) -> Turn:
    return replace(Turn(TurnSpec("id", "a", "t"), status, 0, 1, 1, position=1), **columns)


class TestMoves:
    def test_every_status_has_a_row(self) -> None:
        assert set(MOVES) == set(TurnStatus)

    def test_what_has_ended_moves_no_more(self) -> None:
        assert all(not MOVES[status] for status in ENDED)

    @pytest.mark.parametrize(("old", "new"), list(product(TurnStatus, TurnStatus)))
    def test_only_what_the_table_says(self, old: TurnStatus, new: TurnStatus) -> None:
        one = draft()
        if new in MOVES[old]:
            assert one.move(turn(old), new).status is new
        else:
            with pytest.raises(AssertionError, match="illegal move"):
                one.move(turn(old), new)


class TestLog:
    def test_events_are_numbered_on_from_the_head(self) -> None:
        one = draft()
        assert [one.log(EventType.TURN_VALUE, b"1", "id", 1) for _ in range(3)] == [8, 9, 10]
        assert one.final().latest == 10

    def test_without_events_the_head_stays(self) -> None:
        one = draft()
        assert one.final() is one.head
        assert one.done(AgentReply(one.head)).events == ()


class TestStart:
    def test_as_a_new_owner(self) -> None:
        one = draft(queued=1, joined=1, epoch=3)
        assert one.start(turn(), STARTER)
        assert one.begun is not None
        assert one.begun.fence == Fence("n", 4)
        assert (one.head.current, one.head.queued, one.head.begun) == ("id", 0, 1)
        assert (one.begun.turn.attempt, one.begun.turn.start_time, one.begun.turn.last_seq) == (1, NOW, 8)

    def test_as_the_owner_that_it_is(self) -> None:
        one = draft(queued=1, joined=1, epoch=3, node="n")
        assert one.start(turn(), STARTER, Fence("n", 3))
        assert one.head.epoch == 3

    @pytest.mark.parametrize("starter", [None, Starter("n", frozenset({"other"}))])
    def test_not_without_a_starter_for_its_tool(self, starter: Starter | None) -> None:
        one = draft(queued=1)
        assert not one.start(turn(), starter)
        assert not one.events

    def test_not_while_paused_and_not_nothing(self) -> None:
        assert not draft(queued=1, paused=True).start(turn(), STARTER)
        assert not draft().start(None, STARTER)


class TestEnd:
    @pytest.mark.parametrize("status", sorted(ENDED))
    def test_writes_one_event_of_its_kind(self, status: TurnStatus) -> None:
        one = draft()
        ended = one.end(turn(TurnStatus.RUNNING), Outcome(status))  # type: ignore[arg-type]
        assert [event.type.value for event in one.events] == [f"turn.{status.value}"]
        assert (ended.status, ended.end_time, ended.last_seq) == (status, NOW, 8)

    @pytest.mark.parametrize("status", sorted(ENDED))
    def test_a_cancel_wins_over_any_outcome(self, status: TurnStatus) -> None:
        one = draft()
        asked = turn(TurnStatus.RUNNING, cancel=CancelRequest("me", "why"))
        ended = one.end(asked, Outcome(status, output=b"1", error=b"{}"))  # type: ignore[arg-type]
        assert (ended.status, ended.output, ended.error) == (TurnStatus.CANCELLED, None, None)
        assert json.loads(one.events[0].data) == {"by": "me", "reason": "why"}
        assert one.head.last_error is None

    def test_the_last_error_says_which_turn_and_when(self) -> None:
        one = draft()
        one.end(turn(TurnStatus.RUNNING), Outcome(TurnStatus.TIMEOUT))
        error = json.loads(one.head.last_error or b"")
        assert error["turn_id"] == "id"
        assert error["time"] == "1970-01-01T00:00:00.001000Z"
        assert error["error"] == {"type": "timeout", "message": "The turn did not end within 60 s."}
