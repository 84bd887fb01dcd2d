"""Values on their way to the log: in order, one command at a time, bounded, none lost when there is no space."""

import asyncio

import pytest

from pygents_app.errors import Fenced, StoreFull
from pygents_app.runtime import outbox as module
from pygents_app.runtime.outbox import PENDING_VALUES, Outbox
from tests.app.runtime.fakes import BEGUN, FakeStore, ticks

pytestmark = pytest.mark.anyio


def make() -> tuple[FakeStore, Outbox, list[bool]]:
    store, lost = FakeStore(), list[bool]()
    return store, Outbox(BEGUN, store=store, lost=lambda: lost.append(True)), lost  # type: ignore[arg-type]


async def waiting_put(outbox: Outbox) -> "asyncio.Task[None]":
    """More values than may be pending, while a command is under way: the last put waits."""
    await outbox.put(b"1")
    await ticks()

    async def fill() -> None:
        for _ in range(PENDING_VALUES + 1):
            await outbox.put(b"x")

    filling = asyncio.create_task(fill())
    await ticks()
    assert not filling.done()
    return filling


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
    filling = await waiting_put(outbox)
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
    await store.asked(2)
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


async def test_a_closed_one_drops_values_and_holds_nobody_up() -> None:
    """Code that nobody listens to any more must be able to end, however much it still yields."""
    store, outbox, _ = make()
    outbox.close(lambda values: None)

    async def yield_on() -> None:
        for _ in range(3 * PENDING_VALUES):
            await outbox.put(b"late")

    await asyncio.wait_for(yield_on(), 1)
    await ticks()
    assert store.sent == []


async def test_closing_wakes_a_put_that_waits() -> None:
    store, outbox, _ = make()
    filling = await waiting_put(outbox)
    ends: list[tuple[bytes, ...]] = []
    outbox.close(ends.append)
    await asyncio.wait_for(filling, 1)
    await store.answer()
    assert [len(values) for values in ends] == [PENDING_VALUES + 1]


@pytest.mark.parametrize("error", [Fenced("gone"), RuntimeError("broken")])
async def test_a_loss_wakes_a_put_that_waits(error: Exception) -> None:
    store, outbox, lost = make()
    filling = await waiting_put(outbox)
    await store.answer(error)
    await asyncio.wait_for(filling, 1)
    assert lost == [True]
    assert len(store.sent) == 1


async def test_a_value_that_the_store_cannot_take_is_no_silent_loss() -> None:
    """Nothing after it may be logged either, and whoever writes the end can see why."""
    store, outbox, lost = make()
    await outbox.put(b"1")
    await ticks()
    await store.answer(broken := RuntimeError("broken"))
    await outbox.put(b"2")
    await ticks()
    assert (lost, outbox.failure, store.values) == ([True], broken, [(b"1",)])
    ends: list[tuple[bytes, ...]] = []
    outbox.close(ends.append)
    assert ends == [()]
