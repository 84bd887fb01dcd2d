from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_core import WorkingMemory

ITEMS = st.lists(st.integers() | st.text() | st.none(), max_size=20)


def filled(limit: int, *items: Any) -> WorkingMemory:
    memory = WorkingMemory(limit)
    memory.append(*items)
    return memory


@pytest.mark.parametrize("limit", [0, -3])
def test_limit_under_one(limit: int) -> None:
    with pytest.raises(ValueError, match="limit must be >= 1"):
        WorkingMemory(limit)


@given(st.integers(1, 8), st.lists(ITEMS))
def test_the_newest_items_stay(limit: int, batches: list[list[Any]]) -> None:
    memory = WorkingMemory(limit)
    for batch in batches:
        memory.append(*batch)
    everything = [item for batch in batches for item in batch]
    assert memory.items == list(memory) == everything[-limit:]
    assert len(memory) == len(memory.items)
    assert bool(memory) is bool(everything)


@given(st.integers(1, 8), ITEMS)
def test_as_dict_and_back(limit: int, items: list[Any]) -> None:
    memory = filled(limit, *items)
    again = WorkingMemory.from_dict(memory.to_dict())
    assert (again.limit, again.items) == (limit, memory.items)


def test_from_dict_without_items() -> None:
    assert WorkingMemory.from_dict({"limit": 2}).items == []


def test_items_is_a_copy() -> None:
    memory = filled(3, 1)
    memory.items.append(2)
    assert memory.items == [1]


def test_clear_and_replace() -> None:
    memory = filled(2, 1, 2)
    memory.clear()
    assert not memory
    memory.replace([1, 2, 3])
    assert memory.items == [2, 3]


def test_repr() -> None:
    assert repr(filled(5, 1)) == "WorkingMemory(limit=5, len=1)"


class TestCompact:
    def test_gets_a_copy_before_the_new_items(self) -> None:
        seen: list[list[int]] = []

        def compact(items: list[int]) -> list[int]:
            seen.append(list(items))
            items.clear()
            return seen[-1][-1:]

        memory = WorkingMemory(3, compact)
        memory.append(1, 2)
        memory.append(3)
        assert seen == [[], [1, 2]]
        assert memory.items == [2, 3]

    def test_its_result_is_bounded(self) -> None:
        memory = WorkingMemory(2, lambda _: [1, 2, 3])
        memory.append()
        assert memory.items == [2, 3]

    def test_one_that_raises_changes_nothing(self) -> None:
        memory = WorkingMemory(2, lambda items: items if not items else [1 / 0])
        memory.append(1)
        with pytest.raises(ZeroDivisionError):
            memory.append(2)
        assert memory.items == [1]


class TestBranch:
    def test_is_independent(self) -> None:
        parent = filled(3, 1, 2)
        child = parent.branch()
        child.append(3)
        parent.clear()
        assert (parent.items, child.items, child.limit) == ([], [1, 2, 3], 3)

    def test_smaller(self) -> None:
        assert filled(3, 1, 2, 3).branch(2).items == [2, 3]

    def test_compact_is_inherited_replaced_or_dropped(self) -> None:
        parent = WorkingMemory(5, lambda _: ["parent"])
        inherited, replaced = parent.branch(), parent.branch(compact=lambda _: ["own"])
        dropped = parent.branch(None, None)
        for memory in (inherited, replaced, dropped):
            memory.append(1)
        assert inherited.items == ["parent", 1]
        assert replaced.items == ["own", 1]
        assert dropped.items == [1]
