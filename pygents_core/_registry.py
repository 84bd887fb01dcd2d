"""A registry: named things of one kind, for the whole process."""

from collections.abc import Callable
from typing import Generic, TypeVar

from .errors import UnregisteredError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind, in the order of their registration. Not locked: register at import or on one thread.

    ``resolver`` (None at first) is asked for names that are not registered; it returns None for those it does not
    know either. What it returns is not registered.
    """

    def __init__(self, noun: str, *, missing: type[UnregisteredError], name_of: Callable[[T], str]) -> None:
        self._noun = noun
        self._missing = missing
        self._name_of = name_of
        self._registry: dict[str, T] = {}
        self.resolver: Callable[[str], T | None] | None = None

    def register(self, item: T, name: str | None = None) -> None:
        """Add ``item`` under ``name`` (its own name if None). Raises ValueError if the name is taken, by itself too."""
        key = name or self._name_of(item)
        if key in self._registry:
            raise ValueError(f"{self._noun} {key!r} already registered")
        self._registry[key] = item

    def ensure(self, item: T, name: str | None = None) -> None:
        """Do the same as ``register``, but nothing if this very item has the name, or any if None is given, already."""
        known = self._registry.values() if name is None else [self._registry.get(name)]
        if not any(item is other for other in known):
            self.register(item, name)

    def get(self, name: str) -> T:
        """Return what has the name, or what the resolver knows by it; else raise the registry's own KeyError."""
        item = self._registry.get(name)
        if item is None and self.resolver is not None:
            item = self.resolver(name)
        if item is None:
            raise self._missing(f"{self._noun} {name!r} not found")
        return item

    def all(self) -> list[T]:
        """Return everything registered, oldest first; nothing that only the resolver knows."""
        return list(self._registry.values())

    def name_for(self, item: T) -> str:
        """Return the name that ``item`` is registered under, or its own name if it is not."""
        return next((name for name, known in self._registry.items() if known is item), self._name_of(item))

    def clear(self) -> None:
        """Forget everything registered; the resolver stays."""
        self._registry.clear()

    def snapshot(self) -> Callable[[], None]:
        """Return a function that puts everything back as it is now, the resolver too."""
        registered, resolver = dict(self._registry), self.resolver

        def restore() -> None:
            self._registry = registered
            self.resolver = resolver

        return restore
