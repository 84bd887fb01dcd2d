"""Times that most turns are never asked for."""

from datetime import UTC, datetime, timedelta
from typing import Self, overload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment:
    """A descriptor over the slot ``_name``: a datetime, or None.

    The slot may also hold what ``time.time_ns()`` says: reading a clock is cheap, making a datetime of it is not.
    """

    __slots__ = ("_slot",)

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> datetime | None: ...
    def __get__(self, instance: object | None, owner: type) -> "datetime | Self | None":
        if instance is None:
            return self
        kept: datetime | int | None = getattr(instance, self._slot)
        return EPOCH + timedelta(microseconds=kept // 1000) if isinstance(kept, int) else kept

    def __set__(self, instance: object, value: datetime | None) -> None:
        setattr(instance, self._slot, value)
