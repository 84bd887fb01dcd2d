"""Streams end with what they are held by, also those whose clients take nothing."""

import pytest

from pygents_app.auth import Held
from pygents_app.streaming import holders as holders_module
from pygents_app.streaming.holders import FAREWELL, Holders
from tests.helpers import eventually

pytestmark = pytest.mark.anyio


class Reader:
    behind = 0

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.aborted = False

    def wake(self) -> None:
        raise AssertionError("nothing is new")

    def tick(self, now: float) -> None:
        raise AssertionError("no time has passed")

    def farewell(self, body: bytes) -> None:
        self.told.append(body)

    def abort(self) -> None:
        self.aborted = True


async def test_a_keys_streams_end_and_no_others() -> None:
    holders, mine, also, others = Holders(), Reader(), Reader(), Reader()
    holders.enter(Held("a"), mine)
    holders.enter(Held("a", "ticket"), also)
    holders.enter(Held("b"), others)
    holders.end("a")
    assert (mine.told, also.told, others.told) == ([FAREWELL], [FAREWELL], [])
    assert not mine.aborted


async def test_one_that_is_opened_meanwhile_ends_at_once() -> None:
    holders, late = Holders(), Reader()
    holders.end("a")
    holders.enter(Held("a"), late)
    assert late.told == [FAREWELL]


async def test_who_takes_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders_module, "CUT_SECONDS", 0.01)
    holders, slow = Holders(), Reader()
    holders.enter(Held("a"), slow)
    holders.end("a")
    await eventually(lambda: slow.aborted)


async def test_one_that_has_left_is_not_told() -> None:
    holders, gone = Holders(), Reader()
    holders.enter(Held("a"), gone)
    holders.leave(Held("a"), gone)
    holders.end("a")
    assert gone.told == []


async def test_a_ticket_holds_the_newest() -> None:
    holders, first, second = Holders(), Reader(), Reader()
    held = Held(ticket="t")
    holders.enter(held, first)
    holders.enter(held, second)
    holders.leave(held, first)
    assert (first.aborted, second.aborted) == (True, False)
    third = Reader()
    holders.enter(held, third)
    assert second.aborted


async def test_streams_end_when_what_holds_them_is_over() -> None:
    now = 100
    holders = Holders(clock=lambda: now)
    first, again, longer, without = Reader(), Reader(), Reader(), Reader()
    holders.enter(Held("a", until=110), first)
    holders.enter(Held("b", until=120), longer)
    holders.enter(Held("c"), without)
    holders.look()
    assert not (first.told or longer.told or without.told)
    now = 110
    holders.look()
    assert (first.told, longer.told, without.told) == ([FAREWELL], [], [])
    holders.leave(Held("a", until=110), first)
    holders.enter(Held("a", until=110), again)  # its request was admitted in time, and took its time
    holders.look()
    assert (again.told, longer.told) == ([FAREWELL], [])


async def test_only_so_much_of_what_is_void_is_remembered() -> None:
    holders, late, older = Holders(), Reader(), Reader()
    for number in range(holders_module.MOST_ENDED + 1):
        holders.end(f"session:{number}")
    holders.enter(Held("session:0"), older)
    holders.enter(Held("session:1"), late)
    assert (older.told, late.told) == ([], [FAREWELL])
