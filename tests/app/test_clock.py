"""Times and ids."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.clock import from_datetime, new_id, system_clock, to_rfc3339


def test_the_clock_counts_microseconds() -> None:
    before, now, after = time.time(), system_clock(), time.time()
    assert before - 0.001 <= now / 1_000_000 <= after + 0.001


def test_ids_are_uuids_of_version_7_and_ascend() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert ids == sorted(set(ids))
    assert {(len(one), one[14]) for one in ids} == {(36, "7")}


def test_rfc3339_always_has_six_digits() -> None:
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert to_rfc3339(1_795_344_480_123_456) == "2026-11-22T10:48:00.123456Z"


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)), st.integers(-12, 12))
def test_there_and_back(naive: datetime, hours: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert datetime.fromisoformat(to_rfc3339(from_datetime(moment))) == moment.astimezone(UTC)


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        from_datetime(datetime(2026, 11, 22))
