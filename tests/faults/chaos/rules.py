"""What must hold whatever happened: each rule is one promise, and says by an AssertionError how it was broken."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.faults.chaos.evidence import Evidence, Trace
from tests.faults.chaos.ledger import Ended, Json, Operation
from tests.history import (
    TERMINAL,
    check_contiguous,
    check_mailbox_order,
    check_one_at_a_time,
    check_one_end,
    check_pauses,
    check_superseded,
    check_values,
)  # fmt: skip

LOG_CHECKS: Sequence[Callable[[list[Json]], None]] = (
    check_contiguous, check_one_end, check_one_at_a_time, check_mailbox_order, check_values, check_superseded,
    check_pauses,
)  # fmt: skip
Rule = Callable[[Evidence], None]
FORESEEN = frozenset({200, 201, 202, 204, 404, 409, 422, 429, 503})
SHOWN = 5
"""Of what is wrong, so many are told."""


def judge(evidence: Evidence) -> list[str]:
    """Every rule that is broken, with what it says."""
    found = []
    for rule in RULES:
        try:
            rule(evidence)
        except AssertionError as error:
            found.append(f"{rule.__name__}: {str(error)[:2000]}")
    return found


# --- what clients were told ------------------------------------------------------------------------------------------


def accepted_is_stored(evidence: Evidence) -> None:
    """Whatever got a 202 is there, and is what was asked for."""
    lost = [
        (operation.mark, turn_id, operation.statuses)
        for operation in _stable(evidence)
        if operation.submits
        for ids in operation.turns
        for turn_id, mark in zip(ids, operation.marks(), strict=True)
        if evidence.turns.get(turn_id, {"metadata": {}})["metadata"].get("mark") != mark
    ]
    _nothing(lost, "accepted and not stored")


def refused_is_not_stored(evidence: Evidence) -> None:
    refused = {mark for operation in _stable(evidence) if operation.refused for mark in operation.marks()}
    _nothing([turn for turn in _marked(evidence) if turn["metadata"]["mark"] in refused], "refused and stored")


def one_operation_one_turn(evidence: Evidence) -> None:
    """However often it was asked for: twins, and repetitions after an answer that never came."""
    made = Counter((turn["agent"], turn["metadata"]["mark"]) for turn in _marked(evidence))
    _nothing([mark for mark, number in made.items() if number > 1], "stored several times")
    named = {each.mark: set(each.turns) for each in _stable(evidence) if each.submits}
    _nothing([(mark, ids) for mark, ids in named.items() if len(ids) > 1], "answered with different turns")
    known = {mark for operation in evidence.ledger.operations for mark in operation.marks()}
    _nothing([turn for turn in _marked(evidence) if turn["metadata"]["mark"] not in known], "nobody asked for")


def batches_are_whole(evidence: Evidence) -> None:
    made = {turn["metadata"]["mark"] for turn in _marked(evidence)}
    parts = {each.mark: [mark in made for mark in each.marks()] for each in _stable(evidence) if each.kind == "batch"}
    _nothing([mark for mark, stored in parts.items() if any(stored) and not all(stored)], "stored in part")


def cancelled_is_cancelled(evidence: Evidence) -> None:
    """Acknowledged: the turn ends cancelled, whatever its tool did. Refused: the turn had ended as it was said."""
    wrong = []
    for each in _stable(evidence):
        if each.kind != "cancel" or not each.turns:
            continue
        turn = evidence.turns.get(each.turns[0][0], {"status": "missing"})
        expected = "cancelled" if each.ended is Ended.OK else each.found
        if expected and turn["status"] != expected:
            wrong.append((each.mark, each.statuses, expected, turn))
    _nothing(wrong, "cancels that did not stay")


def clients_keep_their_order(evidence: Evidence) -> None:
    """Of one client's turns, one after the other, to one agent."""
    last: dict[tuple[str, str], int] = defaultdict(int)
    wrong = []
    for each in _stable(evidence):
        if each.submits and each.turns and (turn := evidence.turns.get(each.turns[0][0])) is not None:
            if turn["first_seq"] <= last[each.client, each.agent]:
                wrong.append((each.mark, turn))
            last[each.client, each.agent] = turn["first_seq"]
    _nothing(wrong, "joined before an earlier turn of the same client")


def answers_are_foreseen(evidence: Evidence) -> None:
    """A fault is no excuse for an answer that does not say what is the matter."""
    operations = evidence.ledger.operations
    wrong = [
        (each.mark, each.kind, each.statuses[-3:]) for each in operations if not FORESEEN.issuperset(each.statuses)
    ]
    _nothing(wrong, "answers that nobody expects")


# --- the logs --------------------------------------------------------------------------------------------------------


def logs_are_sound(evidence: Evidence) -> None:
    """Contiguous from 1; one begin and one end for each turn; one at a time; in order; values whole; pauses kept."""
    for agent in evidence.stable:
        for check in LOG_CHECKS:
            try:
                check(evidence.events.get(agent, []))
            except AssertionError as error:
                raise AssertionError(f"{agent}: {error}") from None


def renewed_logs_go_on(evidence: Evidence) -> None:
    """Of an agent that was made again: contiguous from its first event on, which says that it was made."""
    for agent, events in evidence.events.items():
        if agent not in evidence.stable:
            check_contiguous(events, evidence.agents[agent]["earliest"])
            assert events[0]["type"] == "agent.created", f"{agent} begins with {events[0]}"
            check_one_end(events)


def rows_are_what_the_log_says(evidence: Evidence) -> None:
    """A turn's row and its terminal event name the same end; an agent's counters are what is there."""
    ends = {
        event["turn_id"]: event for events in evidence.events.values() for event in events if event["type"] in TERMINAL
    }
    nothing = {"type": None, "seq": None}
    wrong = [
        turn
        for turn in evidence.turns.values()
        if _end(ends.get(turn["id"], nothing)) != (f"turn.{turn['status']}", turn["last_seq"])
    ]
    wrong += [ends[turn_id] for turn_id in ends if turn_id not in evidence.turns]
    _nothing(wrong, "turns whose row and log differ")
    heads = [(name, head["latest"]) for name, head in evidence.agents.items()
             if evidence.events.get(name) and head["latest"] != evidence.events[name][-1]["seq"]]  # fmt: skip
    _nothing(heads, "agents that do not know their last event")


# --- what tools did --------------------------------------------------------------------------------------------------


def executions_never_overlap(evidence: Evidence) -> None:
    """Of one agent: code starts only when the code before it has stopped, or died with its process."""
    inside: dict[str, Trace] = {}
    wrong = []
    for line in evidence.trace:
        open_ = inside.get(line.agent)
        if line.what == "start":
            if open_ is not None and open_.pid == line.pid:
                wrong.append((open_, line))
            inside[line.agent] = line
        elif line.what == "stop" and open_ is not None and open_[1:5] == line[1:5]:
            del inside[line.agent]
    _nothing(wrong, "executions overlap")


def attempts_are_begun_first(evidence: Evidence) -> None:
    """Each execution is an attempt that the log knows, once; without a policy there is one at most."""
    begun = {
        (event["turn_id"], event["attempt"])
        for events in evidence.events.values()
        for event in events
        if event["type"] == "turn.started"
    }
    entered = Counter((line.turn_id, line.attempt) for line in _traced(evidence, "start"))
    _nothing([place for place in entered if place not in begun], "ran without having begun")
    _nothing([place for place, times in entered.items() if times > 1], "entered twice")
    once = {turn["id"] for turn in evidence.turns.values() if turn["retry"] is None}
    again = [place for place in entered if place[1] > 1 and place[0] in once]
    _nothing(again, "run again without a policy")


def values_are_what_was_yielded(evidence: Evidence) -> None:
    """Of a completed turn all, of another one the first so many."""
    yielded: dict[tuple[str, int], list[int]] = defaultdict(list)
    for line in _traced(evidence, "value"):
        yielded[line.turn_id, line.attempt].append(line.number)
    logged: dict[tuple[str, int], list[int]] = defaultdict(list)
    for events in evidence.events.values():
        for event in events:
            if event["type"] == "turn.value":
                logged[event["turn_id"], event["attempt"]].append(event["data"]["index"])
    invented = [
        (place, found)
        for place, found in logged.items()
        if _is_stable(evidence, place[0]) and found != yielded[place][: len(found)]
    ]
    _nothing(invented, "values that nobody yielded")
    lost = [
        (turn["id"], turn["tool"], yielded[turn["id"], turn["attempt"]], logged[turn["id"], turn["attempt"]])
        for turn in _of_stable(evidence)
        if turn["status"] == "completed"
        and yielded[turn["id"], turn["attempt"]] != logged[turn["id"], turn["attempt"]]
    ]  # fmt: skip
    _nothing(lost, "values were lost")


def made_turns_are_there_once(evidence: Evidence) -> None:
    """Sent: from when the send returned, whatever became of the sender. Returned: with the completed end of a turn."""
    made = Counter(
        (turn["metadata"]["maker"], turn["metadata"]["number"])
        for turn in evidence.turns.values()
        if "maker" in turn["metadata"]
    )
    _nothing([place for place, times in made.items() if times > 1], "messages that are there twice")
    sent = {
        (line.turn_id, line.number) for line in evidence.trace if line.what == "sent" and line.to in evidence.stable
    }
    _nothing([place for place in sent if place not in made], "sent and lost")
    next_ = {
        event["turn_id"]: event["data"]["next"]
        for events in evidence.events.values()
        for event in events
        if event["type"] == "turn.completed" and event["data"].get("next")
    }
    returned = {
        turn["metadata"]["maker"]: turn["id"]
        for turn in _of_stable(evidence)
        if turn["tool"] == "loop" and "maker" in turn["metadata"]
    }
    assert {maker: next_.get(maker) for maker in returned} == returned, "a turn was made by one that did not complete"
    _nothing([maker for maker in next_ if next_[maker] not in evidence.turns], "returned and lost")


def memories_hold_what_was_completed(evidence: Evidence) -> None:
    for agent in evidence.stable:
        completed = [event["turn_id"] for event in evidence.events.get(agent, ()) if event["type"] == "turn.completed"]
        done = [turn_id for turn_id in completed if evidence.turns.get(turn_id, {}).get("tool") == "remember"]
        kept = evidence.memories.get(agent, [])
        assert kept == done[-max(1, len(kept)) :], f"{agent} remembers {kept[-3:]}, not {done[-3:]}"


# --- streams ---------------------------------------------------------------------------------------------------------


def streams_are_slices_of_the_log(evidence: Evidence) -> None:
    """No gap, no duplicate, from right after the cursor; and every event as it is stored."""
    _nothing(evidence.ledger.conflicts, "events that were shown in two ways")
    for each in evidence.ledger.segments:
        first = (each.cursor or 0) + 1
        if each.agent in evidence.stable:
            assert not each.was_reset, f"a reset that was not due: {each}"
            assert not each.runs or each.runs[0][0] == first, f"does not begin after its cursor: {each}"
        assert len(each.runs) <= 1, f"not contiguous: {each}"
    for agent in evidence.stable:
        stored = {event["seq"]: event for event in evidence.events.get(agent, ())}
        wrong = [
            seq for seq, data in evidence.ledger.shown[agent].items() if not _same(json.loads(data), stored.get(seq))
        ]
        _nothing(wrong, f"{agent}: shown, and not what is stored")


def turn_streams_are_the_turns_events(evidence: Evidence) -> None:
    of_turn: dict[str, list[int]] = defaultdict(list)
    for agent in evidence.stable:
        for event in evidence.events.get(agent, ()):
            if event["turn_id"] is not None:
                of_turn[event["turn_id"]].append(event["seq"])
    found = [each for each in evidence.ledger.turn_streams if each.agent in evidence.stable]
    _nothing([each for each in found if each.seqs != of_turn[each.turn_id]], "streams of turns with other events")


# --- rest ------------------------------------------------------------------------------------------------------------


def nothing_is_left_behind(evidence: Evidence) -> None:
    """Once nobody asks for anything: nothing runs, nothing has an owner, nothing waits."""
    _nothing(evidence.restless, "agents that do not come to rest")
    _nothing([turn for turn in evidence.turns.values() if f"turn.{turn['status']}" not in TERMINAL], "never ended")


def the_file_is_sound(evidence: Evidence) -> None:
    assert evidence.damage == "ok", f"integrity_check: {evidence.damage}"
    assert not evidence.orphans, f"{evidence.orphans} agents have rows and are not there"


RULES: tuple[Rule, ...] = (
    accepted_is_stored,
    refused_is_not_stored,
    one_operation_one_turn,
    batches_are_whole,
    cancelled_is_cancelled,
    clients_keep_their_order,
    answers_are_foreseen,
    logs_are_sound,
    renewed_logs_go_on,
    rows_are_what_the_log_says,
    executions_never_overlap,
    attempts_are_begun_first,
    values_are_what_was_yielded,
    made_turns_are_there_once,
    memories_hold_what_was_completed,
    streams_are_slices_of_the_log,
    turn_streams_are_the_turns_events,
    nothing_is_left_behind,
    the_file_is_sound,
)


def _stable(evidence: Evidence) -> Iterable[Operation]:
    return (operation for operation in evidence.ledger.operations if operation.agent in evidence.stable)


def _of_stable(evidence: Evidence) -> Iterable[dict[str, Any]]:
    return (turn for turn in evidence.turns.values() if turn["agent"] in evidence.stable)


def _marked(evidence: Evidence) -> Iterable[dict[str, Any]]:
    return (turn for turn in _of_stable(evidence) if "mark" in turn["metadata"])


def _traced(evidence: Evidence, what: str) -> Iterable[Trace]:
    return (line for line in evidence.trace if line.what == what and line.agent in evidence.stable)


def _end(event: Json) -> tuple[object, object]:
    return event["type"], event["seq"]


def _is_stable(evidence: Evidence, turn_id: str) -> bool:
    return turn_id in evidence.turns and evidence.turns[turn_id]["agent"] in evidence.stable


def _same(shown: dict[str, Any], stored: dict[str, Any] | None) -> bool:
    return stored is not None and all(shown[name] == stored[name] for name in stored)


def _nothing(wrong: Iterable[object], what: str) -> None:
    found = list(wrong)
    assert not found, f"{len(found)} {what}: {found[:SHOWN]}"
