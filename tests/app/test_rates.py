"""Token buckets, on a clock that stands still unless it is told to go on."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.rates import LONGEST_DEBT_SECONDS, SLOWEST, Buckets, Level, Pace, Rates, network_of, whole_seconds

SLOW = Pace.of(1, 1)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_and_then_the_rate(clock: Clock) -> None:
    buckets, pace = Buckets(clock=clock), Pace.of(2, 3)
    assert [buckets.take("a", pace) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", pace) == pytest.approx(0.5, rel=1e-3)
    clock.now += 0.5
    assert buckets.take("a", pace) == 0
    assert buckets.take("a", pace) > 0


def test_what_is_refused_costs_nothing(clock: Clock) -> None:
    buckets = Buckets(clock=clock)
    buckets.take("a", SLOW)
    assert len({buckets.take("a", SLOW) for _ in range(100)}) == 1, "the wait grows with each attempt"


def test_callers_have_buckets_of_their_own(clock: Clock) -> None:
    buckets = Buckets(clock=clock)
    assert (buckets.take("a", SLOW), buckets.take("b", SLOW)) == (0, 0)


def test_callers_may_come_at_a_pace_of_their_own(clock: Clock) -> None:
    buckets, quick = Buckets(clock=clock), Pace.of(100, 2)
    assert [buckets.take("a", SLOW) == 0 for _ in range(2)] == [True, False]
    assert [buckets.take("b", quick) == 0 for _ in range(3)] == [True, True, False]
    assert buckets.level("a", SLOW) == Level(0, 1)
    assert buckets.level("b", quick) == pytest.approx((0, 0.02))


def test_it_holds_no_more_than_a_burst(clock: Clock) -> None:
    buckets, pace = Buckets(clock=clock), Pace.of(10, 2)
    buckets.take("a", pace)
    clock.now += 3600
    assert [buckets.take("a", pace) == 0 for _ in range(3)] == [True, True, False]


def test_the_level(clock: Clock) -> None:
    buckets, pace = Buckets(clock=clock), Pace.of(2, 4)
    assert buckets.level("a", pace) == Level(4, 0)
    buckets.take("a", pace)
    tokens, full_in = buckets.level("a", pace)
    assert tokens == 3
    assert full_in == pytest.approx(0.5)
    assert pace == Pace(each=0.5, window=2, burst=4)


def test_a_debt_is_waited_for_but_not_for_ever(clock: Clock) -> None:
    buckets, pace = Buckets(clock=clock), Pace.of(1, 2)
    assert buckets.wait("a", pace) == 0
    buckets.charge("a", pace, 5)
    assert buckets.level("a", pace).tokens == 0
    assert buckets.wait("a", pace) == pytest.approx(4, rel=1e-3)
    assert buckets.take("a", pace) == buckets.wait("a", pace)
    for _ in range(1000):
        buckets.charge("a", pace, 1000)
    assert buckets.take("a", pace) == pytest.approx(LONGEST_DEBT_SECONDS, rel=1e-3)
    clock.now += LONGEST_DEBT_SECONDS
    assert buckets.take("a", pace) == 0


def test_at_a_pace_at_which_one_token_takes_longer_it_is_one(clock: Clock) -> None:
    buckets, pace = Buckets(clock=clock), Pace.of(0.001, 1)
    buckets.charge("a", pace, 1000)
    assert buckets.wait("a", pace) == pytest.approx(1000, rel=1e-3)


DOINGS = st.one_of(
    st.tuples(st.just("take"), st.just(1)),
    st.tuples(st.just("charge"), st.integers(0, 100_000)),
    st.tuples(st.just("pass"), st.floats(0, 120)),
)


@given(rate=st.floats(SLOWEST, 10_000), burst=st.integers(1, 1000), doings=st.lists(DOINGS, max_size=60))
def test_no_debt_is_longer_than_the_longest(
    rate: float, burst: int, doings: list[tuple[Literal["take", "charge", "pass"], float]]
) -> None:
    """Whatever is charged: after the longest wait there is a token, and a charge never shortens a wait."""
    clock, pace = Clock(), Pace.of(rate, burst)
    buckets, longest = Buckets(clock=clock), max(LONGEST_DEBT_SECONDS, pace.each)
    for doing, amount in doings:
        before = buckets.wait("a", pace)
        match doing:
            case "take":
                assert buckets.take("a", pace) == before
            case "charge":
                buckets.charge("a", pace, int(amount))
                assert buckets.wait("a", pace) >= before - 1e-6
            case "pass":
                clock.now += amount
        assert buckets.wait("a", pace) <= longest + 1e-6
        assert 0 <= buckets.level("a", pace).tokens <= burst
    clock.now += longest + 1e-3
    assert buckets.take("a", pace) == 0


def test_the_pace_of_a_caller() -> None:
    """What it has of its own, and the service's where it has nothing."""
    rates = Rates(rate=2, burst=10, wrong_keys=0)
    assert rates.pace() == Pace.of(2, 10)
    assert rates.pace(5) == Pace.of(5, 10)
    assert rates.pace(None, 3) == Pace.of(2, 3)
    assert rates.pace(0, 3) is None, "any number"
    free = Rates(rate=0, burst=10, wrong_keys=0)
    assert (free.pace(), free.pace(None, 3), free.pace(5)) == (None, None, Pace.of(5, 10))
    assert free.pace(5e-324) == Pace.of(SLOWEST, 10), "a wait that nobody can write down"


def test_the_one_that_was_used_longest_ago_is_forgotten(clock: Clock) -> None:
    buckets = Buckets(most=2, clock=clock)
    for caller in ("a", "b"):
        buckets.take(caller, SLOW)
    buckets.charge("a", SLOW, 0)  # used again
    buckets.take("c", SLOW)
    assert buckets.wait("a", SLOW) > 0
    assert buckets.take("b", SLOW) == 0, "b was used longest ago"


@given(
    rate=st.floats(0.01, 10_000), burst=st.integers(1, 1000),
    pauses=st.lists(st.floats(0, 10), min_size=1, max_size=200),
)  # fmt: skip
def test_no_more_pass_than_burst_and_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    buckets, passed, began = Buckets(clock=clock), 0, clock.now
    for pause in pauses:
        clock.now += pause
        passed += buckets.take("a", Pace.of(rate, burst)) == 0
        assert passed <= burst + rate * (clock.now - began) + 0.001


@pytest.mark.parametrize(("seconds", "whole"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.01, 2), (59.5, 60)])
def test_seconds_are_rounded_up(seconds: float, whole: int) -> None:
    assert whole_seconds(seconds) == whole


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_who_is_one_caller(host: str, network: str) -> None:
    assert network_of(host) == network


@given(
    rate=st.floats(0.1, 1000), burst=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3)), max_size=40),
)  # fmt: skip
def test_to_spend_is_to_take_and_to_look(rate: float, burst: int, steps: list[tuple[float, int]]) -> None:
    clock, pace = Clock(), Pace.of(rate, burst)
    one, other = Buckets(clock=clock), Buckets(clock=clock)
    for passed, charged in steps:
        clock.now += passed
        for buckets in (one, other):
            buckets.charge("a", pace, charged)
        wait, level = one.spend("a", pace)
        assert wait == pytest.approx(other.take("a", pace))
        if not wait:
            assert level == pytest.approx(other.level("a", pace), abs=1e-9)
        assert one.level("a", pace) == pytest.approx(other.level("a", pace), abs=1e-9)
