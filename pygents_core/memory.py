"""Working memory: what an agent keeps between its turns, bounded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Literal, TypeAlias

Compact: TypeAlias = Callable[[list[Any]], list[Any]]

# Of the memory that an agent gets when a tool of its asks for one and none was given.
DEFAULT_LIMIT = 100


class _Inherit(Enum):
    COMPACT = "compact"


class WorkingMemory:
    """A window of at most ``limit`` items; the oldest go first.

    ``compact`` (None: nothing) takes a copy of the items at the start of every ``append`` and returns what to keep.
    Raises ValueError for a limit under 1.
    """

    __slots__ = ("_compact", "_items")

    def __init__(self, limit: int, compact: Compact | None = None) -> None:
        if limit < 1:
            raise ValueError(f"limit must be >= 1, not {limit}")
        self._items: deque[Any] = deque(maxlen=limit)
        self._compact = compact

    @property
    def limit(self) -> int:
        """The greatest number of items."""
        return self._items.maxlen or 0

    @property
    def items(self) -> list[Any]:
        """A copy of the items, oldest first."""
        return list(self._items)

    def append(self, *items: Any) -> None:
        """Compact what is there, then add ``items``. If ``compact`` raises, nothing changes."""
        if self._compact is not None:
            self.replace(self._compact(list(self._items)))
        self._items.extend(items)

    def replace(self, items: Iterable[Any]) -> None:
        """Put ``items`` in place of everything; of more than ``limit`` the newest stay. Does not compact."""
        self._items = deque(items, maxlen=self.limit)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()

    def branch(
        self,
        limit: int | None = None,
        compact: Compact | Literal[_Inherit.COMPACT] | None = _Inherit.COMPACT,
    ) -> "WorkingMemory":
        """Return an independent memory with the newest items that fit into ``limit`` (None: the same limit).

        It compacts as this one does, unless ``compact`` is given; None: not at all.
        """
        child = WorkingMemory(
            self.limit if limit is None else limit,
            self._compact if compact is _Inherit.COMPACT else compact,
        )
        child.replace(self._items)
        return child

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __bool__(self) -> bool:
        return bool(self._items)

    def __repr__(self) -> str:
        return f"WorkingMemory(limit={self.limit}, len={len(self)})"

    def to_dict(self) -> dict[str, Any]:
        """Limit and items; not ``compact``, which lives in code only."""
        return {"limit": self.limit, "items": self.items}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "WorkingMemory":
        """Rebuild from ``to_dict``; ``items`` may be missing."""
        memory = cls(data["limit"])
        memory.replace(data.get("items", ()))
        return memory
