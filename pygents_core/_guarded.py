"""Attributes that may not be assigned while their owner is running."""

from typing import Any, Generic, Protocol, Self, TypeVar, overload

from .errors import SafeExecutionError

V = TypeVar("V")


class _Runner(Protocol):
    @property
    def is_running(self) -> bool: ...


class Guarded(Generic[V]):
    """A descriptor over the slot ``_name``. Writing the slot itself, as the library does, costs nothing."""

    __slots__ = ("_name", "_slot")

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._slot = f"_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> V: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        return self if instance is None else getattr(instance, self._slot)

    def __set__(self, instance: _Runner, value: V) -> None:
        if instance.is_running:
            raise SafeExecutionError(f"Cannot change property {self._name!r} while the turn is running.")
        setattr(instance, self._slot, value)
