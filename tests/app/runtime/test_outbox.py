"""Values on their way to the log: in order, one command at a time, bounded, none lost when there is no space."""

import asyncio
from typing import Any

import pytest

from pygents_app.commands import Append
from pygents_app.errors import Fenced, StoreFull
from pygents_app.model import Begun, Definition, Fence, Turn, TurnSpec, TurnStatus
from pygents_app.runtime import outbox as module
from pygents_app.runtime.outbox import PENDING_VALUES, Outbox

pytestmark = pytest.mark.anyio

BEGUN = Begun(Turn(TurnSpec("t", "a", "tool"), TurnStatus.RUNNING, 0, 1, 1), Fence("n", 1), Definition("a"))


async def ticks() -> None:
    """Let the loop do all that is ready, and what that makes ready."""
    for _ in range(5):
        await asyncio.sleep(0)


class FakeStore:
    """Takes commands and answers when the test says so."""

    def __init__(self) -> None:
        self.commands: list[tuple[Append, asyncio.Future[Any]]] = []

    def execute(self, command: Append) -> "asyncio.Future[Any]":
        assert all(answer.done() for _, answer in self.commands), "two commands under way"
        answer = asyncio.get_running_loop().create_future()
        self.commands.append((command, answer))
        return answer

    async def answer(self, error: Exception | None = None) -> None:
        _, answer = self.commands[-1]
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)
        await ticks()

    @property
    def values(self) -> list[tuple[bytes, ...]]:
        return [command.values for command, _ in self.commands]


def make() -> tuple[FakeStore, Outbox, list[bool]]:
    store, lost = FakeStore(), list[bool]()
    return store, Outbox(BEGUN, store=store, lost=lambda: lost.append(True)), lost  # type: ignore[arg-type]


async def test_values_of_one_tick_travel_together() -> None:
    store, outbox, _ = make()
    await outbox.put(b"1")
    await outbox.put(b"2")
    await ticks()
    assert store.values == [(b"1", b"2")]
    await outbox.put(b"3")
    await ticks()
    assert len(store.values) == 1, "a second command while one is under way"
    await store.answer()
    assert store.values[1:] == [(b"3",)]


async def test_the_end_takes_what_is_left_once_nothing_is_under_way() -> None:
    store, outbox, _ = make()
    await outbox.put(b"1")
    await ticks()
    await outbox.put(b"2")
    ends: list[tuple[bytes, ...]] = []
    outbox.close(ends.append)
    assert ends == []
    await store.answer()
    assert ends == [(b"2",)]
    assert store.values == [(b"1",)]


async def test_too_much_pending_waits() -> None:
    store, outbox, _ = make()
    await outbox.put(b"1")
    await ticks()

    async def fill() -> None:
        for _ in range(PENDING_VALUES + 1):
            await outbox.put(b"x")

    filling = asyncio.create_task(fill())
    await ticks()
    assert not filling.done()
    await store.answer()
    assert len(store.values[-1]) == PENDING_VALUES + 1
    await store.answer()
    await asyncio.wait_for(filling, 1)


async def test_a_full_store_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    store, outbox, lost = make()
    await outbox.put(b"1")
    await ticks()
    await store.answer(StoreFull("full"))
    async with asyncio.timeout(1):
        while len(store.commands) < 2:
            await ticks()
    await store.answer()
    assert store.values == [(b"1",), (b"1",)]
    assert not lost


async def test_another_owner_is_told_once_and_nothing_more_is_written() -> None:
    store, outbox, lost = make()
    await outbox.put(b"1")
    await ticks()
    await outbox.put(b"2")
    await store.answer(Fenced("gone"))
    await outbox.put(b"3")
    await ticks()
    assert store.values == [(b"1",)]
    assert lost == [True]
