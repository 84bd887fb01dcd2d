"""The promises about one agent's log, checked on a finished history: each check says what is broken."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

Json = dict[str, Any]
TERMINAL = frozenset({"turn.completed", "turn.timeout", "turn.error", "turn.cancelled"})


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a client knows for sure: this key got a 202 with this turn. Of one ``client``, in the order of its calls."""

    client: str
    key: str
    turn_id: str


def check_log(events: Sequence[Json]) -> None:
    """Everything that holds for the log of an agent whose turns have all ended."""
    check_contiguous(events)
    check_one_end(events)
    check_one_at_a_time(events)
    check_mailbox_order(events)
    check_values(events)
    check_superseded(events)
    check_pauses(events)


def check_contiguous(events: Sequence[Json], first: int = 1) -> None:
    """Only a restore from a backup jumps, and says from where."""
    found = [event["seq"] for event in events]
    expected = first
    for event in events:
        if event["type"] == "agent.restored" and event["data"]["after"] == expected - 1:
            assert event["seq"] >= expected, f"a restore has jumped back: {event}"
            expected = event["seq"]
        assert event["seq"] == expected, f"sequence numbers are not contiguous: {_odd(found)}"
        expected += 1


def check_one_end(events: Iterable[Json]) -> None:
    """One begin, one end; attempts counted from 1, each but the last one followed by ``turn.retrying``."""
    types: dict[str, Counter[str]] = defaultdict(Counter)
    attempts: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event["turn_id"] is not None:
            kind = "end" if event["type"] in TERMINAL else event["type"]
            types[event["turn_id"]][kind] += 1
            if kind == "turn.started":
                attempts[event["turn_id"]].append(event["attempt"])
    wrong = {
        turn_id: dict(kinds)
        for turn_id, kinds in types.items()
        if kinds["end"] != 1
        or kinds["turn.queued"] != 1
        or kinds["turn.started"] - kinds["turn.retrying"] not in (0, 1)  # 0: cancelled while it waited for the next
        or attempts[turn_id] != list(range(1, kinds["turn.started"] + 1))
    }
    assert not wrong, f"turns without exactly one begin and end: {wrong}"


def check_one_at_a_time(events: Iterable[Json]) -> None:
    running: str | None = None
    for event in events:
        kind, turn_id = event["type"], event["turn_id"]
        if kind == "turn.started":
            assert running is None, f"{turn_id} started while {running} was running (event {event['seq']})"
            running = turn_id
        elif kind in ("turn.value", "turn.retrying"):
            assert running == turn_id, f"{kind} of {turn_id}, which is not running (event {event['seq']})"
            running = None if kind == "turn.retrying" else running
        elif kind in TERMINAL:
            assert running == turn_id or kind == "turn.cancelled", f"{turn_id} ended without having run: {event}"
            running = None if running == turn_id else running
    assert running is None, f"{running} never ended"


def check_mailbox_order(events: Sequence[Json]) -> None:
    """Turns begin in the order in which they joined; a scheduled one joins when it is due, not when it is accepted.

    A turn that is run again stays at the head: nothing else begins before it has ended.
    """
    delayed = {event["turn_id"] for event in events if event["type"] == "turn.queued" and event["data"]["not_before"]}
    queued = [event["turn_id"] for event in events if event["type"] == "turn.queued"]
    started = [event["turn_id"] for event in events if event["type"] == "turn.started"]
    assert not set(started) - set(queued), "a turn started that was never queued"
    began = set(started) - delayed
    expected = [turn_id for turn_id in queued if turn_id in began]
    heads = [turn_id for turn_id, _ in groupby(turn_id for turn_id in started if turn_id in began)]
    assert heads == expected, "turns did not begin as they joined"


def check_values(events: Iterable[Json]) -> None:
    """Each attempt numbers its values from 0; what is completed has as many as its last attempt gave."""
    indices: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in events:
        place = event["turn_id"], event["attempt"]
        if event["type"] == "turn.value":
            indices[place].append(event["data"]["index"])
        elif event["type"] == "turn.completed":
            assert event["data"]["values"] == len(indices[place]), f"values are missing before {event}"
    wrong = {place: found for place, found in indices.items() if found != list(range(len(found)))}
    assert not wrong, f"values out of order: {wrong}"


def check_superseded(events: Iterable[Json]) -> None:
    """``turn.retrying`` names the values of the attempt that is given up, all of them and no others of its turn."""
    values: dict[str, dict[int, int]] = defaultdict(dict)
    for event in events:
        if event["type"] == "turn.value":
            values[event["turn_id"]][event["seq"]] = event["attempt"]
        elif event["type"] == "turn.retrying":
            ranges = event["data"]["supersedes"]
            of_turn = values[event["turn_id"]]
            named = {seq for seq in of_turn if any(first <= seq <= last for first, last in ranges)}
            given_up = {seq for seq, attempt in of_turn.items() if attempt == event["attempt"]}
            assert named == given_up, f"not the values of attempt {event['attempt']}: {event}"


def check_pauses(events: Iterable[Json]) -> None:
    """Nothing begins between a pause and what ends it."""
    paused = False
    for event in events:
        assert not (paused and event["type"] == "turn.started"), f"a turn began while its agent was paused: {event}"
        paused = event["type"] == "agent.paused" or (paused and event["type"] != "agent.resumed")


def check_acknowledged(known: Iterable[Acknowledged], turns: Iterable[Json], events: Iterable[Json]) -> None:
    """No acknowledged turn is lost, none stands twice for a key, and each client's turns joined in its own order."""
    stored = {turn["id"]: turn["metadata"].get("key") for turn in turns}
    of_key = Counter(key for key in stored.values() if key is not None)
    assert not [key for key, number in of_key.items() if number > 1], "one key made several turns"
    joined = {event["turn_id"]: event["seq"] for event in events if event["type"] == "turn.queued"}
    last: dict[str, int] = defaultdict(int)
    for each in known:
        assert stored.get(each.turn_id) == each.key, f"acknowledged and lost: {each}"
        assert joined[each.turn_id] > last[each.client], f"joined before an earlier turn of the same client: {each}"
        last[each.client] = joined[each.turn_id]


def check_slice(received: Sequence[Json], events: Sequence[Json], after: int = 0) -> None:
    """A stream that began at the cursor ``after`` is exactly that part of the log."""
    expected = [event for event in events if event["seq"] > after][: len(received)]
    assert list(received) == expected, f"the stream is not the log after {after}: {_odd([e['seq'] for e in received])}"


def _odd(seqs: Sequence[int]) -> str:
    jumps = [f"{left} -> {right}" for left, right in pairwise(seqs) if right != left + 1]
    return f"{len(seqs)} from {seqs[0] if seqs else None}, jumps: {jumps[:5]}"
