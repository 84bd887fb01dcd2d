"""Token buckets, on a clock that stands still unless it is told to go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.rates import LONGEST_DEBT_SECONDS, Buckets, Level, network_of, whole_seconds


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_and_then_the_rate(clock: Clock) -> None:
    buckets = Buckets(rate=2, burst=3, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == pytest.approx(0.5, rel=1e-3)
    clock.now += 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0


def test_what_is_refused_costs_nothing(clock: Clock) -> None:
    buckets = Buckets(rate=1, burst=1, clock=clock)
    buckets.take("a")
    assert len({buckets.take("a") for _ in range(100)}) == 1, "the wait grows with each attempt"


def test_callers_have_buckets_of_their_own(clock: Clock) -> None:
    buckets = Buckets(rate=1, burst=1, clock=clock)
    assert (buckets.take("a"), buckets.take("b")) == (0, 0)


def test_it_holds_no_more_than_a_burst(clock: Clock) -> None:
    buckets = Buckets(rate=10, burst=2, clock=clock)
    buckets.take("a")
    clock.now += 3600
    assert [buckets.take("a") == 0 for _ in range(3)] == [True, True, False]


def test_the_level(clock: Clock) -> None:
    buckets = Buckets(rate=2, burst=4, clock=clock)
    assert buckets.level("a") == Level(4, 0)
    buckets.take("a")
    tokens, full_in = buckets.level("a")
    assert tokens == 3
    assert full_in == pytest.approx(0.5)
    assert (buckets.burst, buckets.window) == (4, 2)


def test_a_debt_is_waited_for_but_not_for_ever(clock: Clock) -> None:
    buckets = Buckets(rate=1, burst=2, clock=clock)
    assert buckets.wait("a") == 0
    buckets.charge("a", 5)
    assert buckets.level("a").tokens == 0
    assert buckets.wait("a") == pytest.approx(4, rel=1e-3)
    assert buckets.take("a") == buckets.wait("a")
    for _ in range(1000):
        buckets.charge("a", 1000)
    assert buckets.take("a") == pytest.approx(LONGEST_DEBT_SECONDS, rel=1e-3)
    clock.now += LONGEST_DEBT_SECONDS
    assert buckets.take("a") == 0


def test_the_one_that_was_used_longest_ago_is_forgotten(clock: Clock) -> None:
    buckets = Buckets(rate=1, burst=1, most=2, clock=clock)
    for caller in ("a", "b"):
        buckets.take(caller)
    buckets.charge("a", 0)  # used again
    buckets.take("c")
    assert buckets.wait("a") > 0
    assert buckets.take("b") == 0, "b was used longest ago"


@given(
    rate=st.floats(0.01, 10_000), burst=st.integers(1, 1000),
    pauses=st.lists(st.floats(0, 10), min_size=1, max_size=200),
)  # fmt: skip
def test_no_more_pass_than_burst_and_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    buckets, passed, began = Buckets(rate=rate, burst=burst, clock=clock), 0, clock.now
    for pause in pauses:
        clock.now += pause
        passed += buckets.take("a") == 0
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
