"""The judge is judged: a history in which all is well passes, and each promise that is broken in it is noticed."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.faults.chaos.evidence import Evidence, Trace
from tests.faults.chaos.ledger import Ended, Ledger, Operation, Segment, TurnStream
from tests.faults.chaos.rules import RULES, judge

Json = dict[str, Any]
Break = Callable[[Evidence], object]
COLUMNS = ("agent", "seq", "type", "turn_id", "attempt", "data")


def _log(*rows: tuple[str, str | None, int | None, Json]) -> list[Json]:
    return [dict(zip(COLUMNS, ("a", seq, *row), strict=True)) for seq, row in enumerate(rows, 1)]


def _queued() -> Json:
    return {"not_before": None}


def _turn(turn_id: str, status: str, first: int, last: int, **more: object) -> Json:
    plain: Json = {"id": turn_id, "agent": "a", "tool": "lasting", "metadata": {}, "status": status, "attempt": 1}
    return {**plain, "first_seq": first, "last_seq": last, "retry": None, **more}


def _sound() -> Evidence:
    """Turn 1 is run again and sends turn 2; turn 3 is cancelled while it waits; turn 4 returns turn 5."""
    events = _log(
        ("agent.created", None, None, {}),
        ("turn.queued", "1", 0, _queued()),
        ("turn.started", "1", 1, {}),
        ("turn.value", "1", 1, {"index": 0, "value": "x"}),
        ("turn.queued", "2", 0, _queued()),
        ("turn.retrying", "1", 1, {"supersedes": [[4, 5]]}),
        ("turn.started", "1", 2, {}),
        ("turn.queued", "3", 0, _queued()),
        ("turn.cancelled", "3", 0, {}),
        ("turn.value", "1", 2, {"index": 0, "value": "x"}),
        ("turn.completed", "1", 2, {"values": 1}),
        ("agent.paused", None, None, {}),
        ("turn.queued", "4", 0, _queued()),
        ("agent.resumed", None, None, {}),
        ("turn.started", "2", 1, {}),
        ("turn.value", "2", 1, {"index": 0, "value": 1}),
        ("turn.completed", "2", 1, {"values": 1}),
        ("turn.started", "4", 1, {}),
        ("turn.completed", "4", 1, {"values": 0, "next": "5"}),
        ("turn.queued", "5", 0, _queued()),
        ("turn.started", "5", 1, {}),
        ("turn.error", "5", 1, {}),
    )
    turns = [
        _turn("1", "completed", 2, 11, metadata={"mark": "c-1"}, retry="{}", attempt=2),
        _turn("2", "completed", 5, 17, metadata={"maker": "1", "number": 0}, tool="remember"),
        _turn("3", "cancelled", 8, 9, metadata={"mark": "c-2/0"}, attempt=0),
        _turn("4", "completed", 13, 19, metadata={"mark": "c-2/1"}, tool="loop"),
        _turn("5", "error", 20, 22, metadata={"maker": "4", "number": 0}, tool="loop"),
    ]
    ledger = Ledger(
        operations=[
            Operation("c-1", "submit", "a", "c", ended=Ended.OK, turns=[("1",), ("1",)]),
            Operation("c-2", "batch", "a", "c", size=2, ended=Ended.OK, turns=[("3", "4")]),
            Operation("c-3", "cancel", "a", "c", ended=Ended.OK, turns=[("3",)]),
            Operation("c-4", "cancel", "a", "c", ended=Ended.FAIL, turns=[("4",)], found="completed"),
            Operation("c-5", "submit", "a", "c", ended=Ended.FAIL),
        ],
        segments=[Segment("a", None, [[1, 9]]), Segment("a", 9, [[10, 22]])],
        turn_streams=[TurnStream("a", "3", [8, 9])],
    )
    ledger.shown["a"] = {event["seq"]: json.dumps(event) for event in events}
    born = {**events[0], "agent": "v", "seq": 41}
    return Evidence(
        stable=("a",),
        ledger=ledger,
        agents={"a": {"earliest": 1, "latest": 22}, "v": {"earliest": 41, "latest": 41}},
        turns={turn["id"]: turn for turn in turns},
        events={"a": events, "v": [born]},
        trace=[
            Trace("start", "a", "1", 1, 100),
            Trace("value", "a", "1", 1, 100),
            Trace("sent", "a", "1", 1, 100, to="a"),
            Trace("start", "a", "1", 2, 200),  # the process died
            Trace("value", "a", "1", 2, 200),
            Trace("stop", "a", "1", 2, 200),
            Trace("start", "a", "2", 1, 200),
            Trace("value", "a", "2", 1, 200),
            Trace("stop", "a", "2", 1, 200),
        ],
        memories={"a": ["2"]},
    )


def _event(evidence: Evidence, seq: int, **changes: object) -> None:
    evidence.events["a"][seq - 1].update(changes)


def _operation(evidence: Evidence, mark: str, **changes: object) -> None:
    (operation,) = (each for each in evidence.ledger.operations if each.mark == mark)
    for name, value in changes.items():
        setattr(operation, name, value)


def _swap(evidence: Evidence, one: int, other: int) -> None:
    """Two turns joined the other way round."""
    left, right = evidence.events["a"][one - 1], evidence.events["a"][other - 1]
    left["turn_id"], right["turn_id"] = right["turn_id"], left["turn_id"]


def _drop(evidence: Evidence, seq: int) -> None:
    """An event that never was: the later ones are numbered as if nothing were missing."""
    events = evidence.events["a"]
    del events[seq - 1]
    for number, event in enumerate(events, 1):
        event["seq"] = number


def _insert(evidence: Evidence, at: int, type_: str, turn_id: str, attempt: int = 1) -> None:
    evidence.events["a"].insert(at - 1, _log((type_, turn_id, attempt, {"index": 0, "values": 0}))[0])
    for number, event in enumerate(evidence.events["a"], 1):
        event["seq"] = number


def _trace(evidence: Evidence, index: int, **changes: Any) -> None:
    evidence.trace[index] = evidence.trace[index]._replace(**changes)


def _copy_turn(evidence: Evidence, turn_id: str) -> None:
    evidence.turns["copy"] = {**evidence.turns[turn_id], "id": "copy"}


def _shown(evidence: Evidence, seq: int, **changes: object) -> None:
    evidence.ledger.shown["a"][seq] = json.dumps({**evidence.events["a"][seq - 1], **changes})


def _segment(evidence: Evidence, segment: Segment) -> None:
    evidence.ledger.segments.append(segment)


BREAKS: list[tuple[str, str, Break]] = [
    ("accepted_is_stored", "lost", lambda it: it.turns.pop("1")),
    ("accepted_is_stored", "another", lambda it: it.turns["1"].update(metadata={"mark": "c-9"})),
    ("refused_is_not_stored", "stored all the same", lambda it: it.turns["5"].update(metadata={"mark": "c-5"})),
    ("one_operation_one_turn", "stored twice", lambda it: _copy_turn(it, "1")),
    ("one_operation_one_turn", "answered with two ids", lambda it: _operation(it, "c-1", turns=[("1",), ("2",)])),
    ("one_operation_one_turn", "of nobody", lambda it: it.turns["5"].update(metadata={"mark": "z-1"})),
    ("batches_are_whole", "half", lambda it: it.turns.pop("3")),
    ("cancelled_is_cancelled", "completed", lambda it: it.turns["3"].update(status="completed")),
    ("cancelled_is_cancelled", "said otherwise", lambda it: _operation(it, "c-4", found="timeout")),
    ("clients_keep_their_order", "overtaken", lambda it: it.turns["3"].update(first_seq=1)),
    ("answers_are_foreseen", "a defect", lambda it: _operation(it, "c-5", statuses=[503, 500, 422])),
    ("logs_are_sound", "a gap", lambda it: it.events["a"][6].update(seq=70)),
    ("logs_are_sound", "two ends", lambda it: _insert(it, 12, "turn.completed", "1", 2)),
    ("logs_are_sound", "no end", lambda it: _drop(it, 22)),
    ("logs_are_sound", "an attempt without a begin", lambda it: _drop(it, 7)),
    ("logs_are_sound", "attempts not counted", lambda it: _event(it, 7, attempt=3)),
    ("logs_are_sound", "two at once", lambda it: _insert(it, 16, "turn.started", "4")),
    ("logs_are_sound", "out of order", lambda it: _swap(it, 5, 13)),
    ("logs_are_sound", "a value is missing", lambda it: _drop(it, 16)),
    ("logs_are_sound", "lost values that count", lambda it: _event(it, 6, data={"supersedes": []})),
    ("logs_are_sound", "too much given up", lambda it: _event(it, 4, attempt=2)),
    ("logs_are_sound", "begun in a pause", lambda it: _event(it, 14, type="agent.updated")),
    ("renewed_logs_go_on", "old events", lambda it: it.events["v"][0].update(type="turn.queued")),
    ("renewed_logs_go_on", "numbers again", lambda it: it.events["v"][0].update(seq=1)),
    ("rows_are_what_the_log_says", "other end", lambda it: it.turns["5"].update(status="completed")),
    ("rows_are_what_the_log_says", "other last event", lambda it: it.turns["5"].update(last_seq=21)),
    ("rows_are_what_the_log_says", "other head", lambda it: it.agents["a"].update(latest=23)),
    ("executions_never_overlap", "no stop before the next", lambda it: it.trace.pop(5)),
    ("attempts_are_begun_first", "never begun", lambda it: _trace(it, 3, attempt=3)),
    ("attempts_are_begun_first", "entered twice", lambda it: _trace(it, 3, attempt=1)),
    ("attempts_are_begun_first", "no policy", lambda it: it.turns["1"].update(retry=None)),
    ("values_are_what_was_yielded", "lost", lambda it: it.trace.insert(5, it.trace[4]._replace(number=1))),
    ("values_are_what_was_yielded", "invented", lambda it: it.trace.pop(1)),
    ("made_turns_are_there_once", "sent and lost", lambda it: it.turns["2"].update(metadata={})),
    ("made_turns_are_there_once", "twice", lambda it: _copy_turn(it, "2")),
    ("made_turns_are_there_once", "returned and lost", lambda it: it.turns.pop("5")),
    ("made_turns_are_there_once", "made by a turn that failed", lambda it: _event(it, 19, data={"values": 0})),
    ("memories_hold_what_was_completed", "forgotten", lambda it: it.memories.clear()),
    ("memories_hold_what_was_completed", "of a turn that failed", lambda it: it.memories.update(a=["2", "5"])),
    ("streams_are_slices_of_the_log", "a gap", lambda it: _segment(it, Segment("a", 3, [[4, 6], [8, 9]]))),
    ("streams_are_slices_of_the_log", "a duplicate", lambda it: _segment(it, Segment("a", 3, [[4, 6], [6, 9]]))),
    ("streams_are_slices_of_the_log", "begins late", lambda it: _segment(it, Segment("a", 3, [[5, 6]]))),
    ("streams_are_slices_of_the_log", "a reset", lambda it: _segment(it, Segment("a", None, was_reset=True))),
    ("streams_are_slices_of_the_log", "other data", lambda it: _shown(it, 4, data={"index": 0, "value": "y"})),
    ("streams_are_slices_of_the_log", "not stored", lambda it: it.ledger.shown["a"].update({23: "{}"})),
    ("streams_are_slices_of_the_log", "two truths", lambda it: it.ledger.saw("a", 4, "{}")),
    ("turn_streams_are_the_turns_events", "no end", lambda it: it.ledger.turn_streams[0].seqs.pop()),
    ("nothing_is_left_behind", "owned", lambda it: it.restless.append({"name": "a", "node": "n"})),
    ("nothing_is_left_behind", "still queued", lambda it: it.turns["5"].update(status="queued")),
    ("the_file_is_sound", "damaged", lambda it: setattr(it, "damage", "row 7 missing from index")),
    ("the_file_is_sound", "orphans", lambda it: setattr(it, "orphans", 1)),
]  # fmt: skip


def test_a_sound_history_passes() -> None:
    assert judge(_sound()) == []


@pytest.mark.parametrize(("rule", "how", "break_"), BREAKS, ids=[f"{rule}-{how}" for rule, how, _ in BREAKS])
def test_a_broken_promise_is_noticed(rule: str, how: str, break_: Break) -> None:
    evidence = deepcopy(_sound())
    break_(evidence)
    complaints = judge(evidence)
    assert rule in [complaint.partition(":")[0] for complaint in complaints], complaints


def test_every_rule_is_broken_by_some_history() -> None:
    assert {rule for rule, _, _ in BREAKS} == {rule.__name__ for rule in RULES}
