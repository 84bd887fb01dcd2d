"""One suspect at a time, in the order in which they asked, and none for ever."""

import pytest

from pygents_app.runtime.quarantine import Quarantine
from tests.helpers import eventually

pytestmark = pytest.mark.anyio


def make(patience: float = 60.0) -> tuple[Quarantine, list[str]]:
    freed: list[str] = []
    return Quarantine(free=freed.append, patience=patience), freed


async def test_one_at_a_time_in_order() -> None:
    quarantine, freed = make()
    assert [quarantine.admit(agent) for agent in ("a", "b", "c", "b")] == [True, False, False, False]
    quarantine.leave("b")  # it is not inside
    quarantine.leave("a")
    assert (freed, quarantine.inside) == (["b"], None)
    assert quarantine.admit("b")
    quarantine.leave("b")
    assert freed == ["b", "c"]
    quarantine.close()


async def test_who_asks_twice_is_inside_once() -> None:
    """Two claims of one agent are under way at times: the second one must not push the first one out."""
    quarantine, freed = make()
    assert (quarantine.admit("a"), quarantine.admit("a")) == (True, False)
    assert quarantine.inside == "a"
    quarantine.leave("a")
    assert freed == ["a"]
    quarantine.close()


async def test_who_stays_for_long_makes_room() -> None:
    quarantine, freed = make(patience=0.01)
    quarantine.admit("a")
    quarantine.admit("b")
    assert await eventually(lambda: freed == ["b"])
    quarantine.close()
