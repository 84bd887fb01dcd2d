"""What is counted, from what is told."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pygents_app.metrics.counting import MOST_GROUPS, Counting
from pygents_app.metrics.tallies import Bounded, Counter, Distribution, Histogram
from pygents_app.model import Begun, Definition, Event, EventType, Fence, Head, Turn, TurnSpec, TurnStatus
from pygents_app.ports import Notice
from pygents_app.telemetry import Answered, Blocked, Committed, Dropped, Entered, Lagged, Refused, Replayed, Telemetry

SECOND = 1_000_000


@pytest.fixture
def counting() -> Counting:
    return Counting()


def values(counter: Counter) -> dict[tuple[str, ...], int]:
    return {labels: value for labels, value in counter.read() if value}


def sums(histogram: Histogram) -> Mapping[tuple[str, ...], tuple[int, float]]:
    """How many values were observed, and what they add up to."""
    return {labels: (found.cumulated()[-1][1], found.sum) for labels, found in histogram.read() if found.sum}


def turn(
    status: TurnStatus = TurnStatus.COMPLETED, *, agent: str = "a", not_before: int | None = None, **fields: Any
) -> Turn:
    times = {"created_at": SECOND, "first_seq": 1, "last_seq": 4, "attempt": 1} | fields
    return Turn(TurnSpec("t", agent, "greet", not_before=not_before), status, **times)


def heads(**groups: str) -> Mapping[str, Head]:
    """Agents with the label ``group``."""
    return {
        name: Head(Definition(name, labels={"group": group} if group else {}), 0, 0) for name, group in groups.items()
    }


def begun(*turns: Turn) -> Iterable[Begun]:
    return [Begun(each, Fence("n", 1), Definition(each.spec.agent)) for each in turns]


class TestNotices:
    def test_events_by_type(self, counting: Counting) -> None:
        types = [EventType.TURN_QUEUED, EventType.TURN_VALUE, EventType.TURN_VALUE]
        counting.hear(Notice([Event("a", seq, type_, "t", 1, 0, b"") for seq, type_ in enumerate(types)]))
        assert values(counting.events) == {("turn.queued",): 1, ("turn.value",): 2}
        assert len(counting.events.read()) == len(EventType), "a series that appears late has no rate"

    def test_turns_by_group_and_stop_reason(self, counting: Counting) -> None:
        ended = [turn(agent="a"), turn(TurnStatus.ERROR, agent="b"), turn(agent="b"), turn(agent="c")]
        counting.hear(Notice(ended=ended, heads=heads(a="", b="support")))
        assert values(counting.ended) == {("", "completed"): 2, ("support", "error"): 1, ("support", "completed"): 1}

    def test_a_first_failure_is_an_increase(self, counting: Counting) -> None:
        """A series that begins with 1 was never at 0, as far as ``increase`` can tell."""
        counting.expect({"group": "support"})
        counting.hear(Notice(begun=[Begun(turn(), Fence("n", 1), Definition("a", labels={"group": "sales"}))]))
        reasons = ("completed", "timeout", "error", "cancelled")
        assert dict(counting.ended.read()) == {
            (group, reason): 0 for group in ("", "support", "sales") for reason in reasons
        }

    def test_groups_are_bounded(self, counting: Counting) -> None:
        for number in range(3 * MOST_GROUPS):
            counting.hear(Notice(ended=[turn()], heads=heads(a=f"g{number}")))
        counting.hear(Notice(ended=[turn()], heads=heads(a="g0")))
        found = values(counting.ended)
        assert len(found) == MOST_GROUPS + 1
        assert found["other", "completed"] == 2 * MOST_GROUPS
        assert found["g0", "completed"] == 2

    def test_durations_of_what_has_begun(self, counting: Counting) -> None:
        ended = [turn(start_time=SECOND, end_time=3 * SECOND), turn(TurnStatus.CANCELLED, end_time=9 * SECOND)]
        counting.hear(Notice(ended=ended, heads=heads(a="g")))
        assert sums(counting.duration) == {("g",): (1, 2.0)}

    @pytest.mark.parametrize(("not_before", "waited"), [(0, 4.0), (3 * SECOND, 2.0), (6 * SECOND, 0.0)])
    def test_waiting_begins_when_the_turn_may(self, counting: Counting, not_before: int, waited: float) -> None:
        counting.hear(Notice(begun=list(begun(turn(start_time=5 * SECOND, not_before=not_before)))))
        (found,) = (distribution for _, distribution in counting.wait.read())
        assert (found.cumulated()[-1][1], found.sum) == (1, waited)

    def test_another_attempt_has_not_waited(self, counting: Counting) -> None:
        counting.hear(Notice(begun=list(begun(turn(start_time=5 * SECOND, attempt=2)))))
        assert values(counting.again) == {(): 1}
        assert not sums(counting.wait)


class TestTelemetry:
    @pytest.fixture
    def telemetry(self, counting: Counting) -> Telemetry:
        telemetry = Telemetry()
        counting.listen(telemetry)
        return telemetry

    def test_requests(self, counting: Counting, telemetry: Telemetry) -> None:
        for method, status in (("GET", 200), ("GET", 204), ("GET", 503), ("BREW", 405), ("GET", 0)):
            telemetry.emit(Answered(method, "/agents", status, 0.5))
        assert sums(counting.requests) == {
            ("GET", "/agents", "2xx"): (2, 1.0), ("GET", "/agents", "5xx"): (1, 0.5),
            ("other", "/agents", "4xx"): (1, 0.5), ("GET", "/agents", "left"): (1, 0.5),
        }  # fmt: skip

    def test_all_the_others(self, counting: Counting, telemetry: Telemetry) -> None:
        for each in (Committed(8, 0.5), Entered(0.25), Replayed(7), Dropped(), Lagged("http", 0.5), Blocked()):
            telemetry.emit(each)
        assert sums(counting.batches) == {(): (1, 8)}
        assert sums(counting.committing) == {(): (1, 0.5)}
        assert sums(counting.start) == {(): (1, 0.25)}
        assert sums(counting.lag) == {("http",): (1, 0.5)}
        for counter, count in (
            (counting.pages, 1),
            (counting.replayed, 7),
            (counting.dropped, 1),
            (counting.blocks, 1),
        ):
            assert values(counter) == {(): count}

    def test_refusals_by_what_they_are_bounded_by(self, counting: Counting, telemetry: Telemetry) -> None:
        assert counting.refused.read(), "a series that appears late has no rate"
        for limit in ("rate", "rate", "wrong_keys"):
            telemetry.emit(Refused(limit))
        assert values(counting.refused) == {("rate",): 2, ("wrong_keys",): 1}


class TestTallies:
    def test_a_bound_is_within_its_bucket(self) -> None:
        distribution = Distribution((1.0, 2.0))
        for value in (0.5, 1, 1.5, 2, 3):
            distribution.observe(value)
        assert distribution.cumulated() == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
        assert distribution.sum == 8

    def test_what_is_let_through_stays_so(self) -> None:
        bounded = Bounded(2)
        assert [bounded(text) for text in "abcab"] == ["a", "b", "other", "a", "b"]

    def test_every_family_is_listed(self, counting: Counting) -> None:
        parts = [part for part in vars(counting).values() if isinstance(part, Counter | Histogram)]
        assert list(counting.families) == parts
        assert len({family.name for family in parts}) == len(parts)
