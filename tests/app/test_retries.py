"""When the next attempt comes: exponential, capped, spread, and the same wherever it is computed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pygents_app import retries
from pygents_app.model import CancelRequest, Outcome, Turn, TurnSpec, TurnStatus
from pygents_core.tool import Retry

FAILED = Outcome(TurnStatus.ERROR)


def turn(policy: Retry | None, attempt: int = 1, spared: int = 0) -> Turn:
    spec = TurnSpec("t", "a", "greet", retry=policy)
    return Turn(spec, TurnStatus.RUNNING, 0, 1, 1, attempt=attempt, spared=spared)


@pytest.mark.parametrize(
    ("used", "seconds"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (1000, 60.0), (10**9, 60.0)]
)
def test_it_grows_up_to_its_cap(used: int, seconds: float) -> None:
    assert retries.pause(Retry(5, jitter=False), "t", used) == seconds


def test_large_factors_do_not_overflow() -> None:
    assert retries.pause(Retry(5, factor=1e300, jitter=False), "t", 10**6) == 60.0


@given(st.text(min_size=1), st.integers(1, 100))
def test_jitter_takes_at_most_half(turn_id: str, used: int) -> None:
    whole, spread = (retries.pause(Retry(5, jitter=jitter), turn_id, used) for jitter in (False, True))
    assert whole / 2 <= spread <= whole
    assert retries.pause(Retry(5), turn_id, used) == spread


def test_jitter_spreads() -> None:
    """Turns that failed together do not come back together."""
    assert len({round(retries.pause(Retry(5, delay=60), str(number), 1)) for number in range(300)}) > 25


def test_who_is_tried_again() -> None:
    policy = Retry(2, delay=1, jitter=False)
    assert retries.retry_at(turn(policy), FAILED, 10) == 1_000_010
    assert retries.retry_at(turn(None), FAILED, 10) is None
    assert retries.retry_at(turn(policy, attempt=2), FAILED, 10) is None
    assert retries.retry_at(turn(policy, attempt=2, spared=1), FAILED, 10) == 1_000_010
    assert retries.retry_at(replace(turn(policy), cancel=CancelRequest("me", None)), FAILED, 10) is None
    assert retries.retry_at(turn(policy), Outcome(TurnStatus.COMPLETED), 10) is None
    assert retries.retry_at(turn(policy), Outcome(TurnStatus.CANCELLED), 10) is None


@given(
    st.builds(
        Retry,
        max_attempts=st.integers(1, 10**6),
        delay=st.floats(0, 10),
        factor=st.floats(1, 1e6),
        max_delay=st.floats(0, 366 * 86_400),
        jitter=st.booleans(),
        on=st.lists(st.sampled_from(("error", "timeout", "interrupted")), unique=True).map(tuple),
    )
)
def test_a_policy_is_stored_whole(policy: Retry) -> None:
    assert retries.decoded(retries.encoded(policy)) == policy
    assert retries.decoded(retries.encoded(None)) is None


@pytest.mark.parametrize(
    ("given", "cap"),
    [({}, 60), ({"delay": 3000}, 3000), ({"delay": 3000, "max_delay": 5}, 5), ({"max_delay": 0.5}, 0.5)],
)
def test_a_delay_that_is_asked_for_is_not_cut_without_a_word(given: dict[str, float], cap: float) -> None:
    policy = Retry(2, jitter=False, **given)  # type: ignore[arg-type]
    assert (policy.cap, policy.max_delay) == (cap, cap)
    assert retries.pause(policy, "t", 1) == min(policy.delay, cap)
