"""The wall clock and the ids of turns. Durations are never measured with it, but with the loop's monotonic clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from uuid_utils import uuid7

Clock = Callable[[], int]
"""Now, in microseconds since the Unix epoch, UTC."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def system_clock() -> int:
    return time.time_ns() // 1000


def new_id() -> str:
    """A UUIDv7 (RFC 9562 §5.7): unique, and sorted by time of creation."""
    return str(uuid7())


@lru_cache(256)
def to_rfc3339(micros: int) -> str:
    """``2026-11-22T10:48:00.123456Z``. Cached, because all that one commit writes has the same time."""
    seconds, rest = divmod(micros, 1_000_000)
    return f"{_whole_second(seconds)}.{rest:06d}Z"


@lru_cache(256)
def _whole_second(seconds: int) -> str:
    """Cached, because the events of one moment share it."""
    return (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def from_datetime(moment: datetime) -> int:
    """Microseconds of an aware datetime; raises ValueError for a naive one, because its moment is unknown."""
    if moment.tzinfo is None:
        raise ValueError("the time needs an offset from UTC, for example 2026-11-22T10:48:00Z")
    return (moment - EPOCH) // timedelta(microseconds=1)  # exact: a float would lose the last digit of some
