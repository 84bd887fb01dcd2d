"""The pruner: what may go is removed in slices, after the grace, also when the store cannot for a while."""

import asyncio
from typing import Any, cast

import pytest

from pygents_app.errors import Unavailable
from pygents_app.ports import Store
from pygents_app.runtime import pruner
from pygents_app.runtime.pruner import GRACE_SECONDS, Pruner
from pygents_app.streaming.subscription import PATIENCE
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000_000_000


class Slices:
    """A store of so many rows that may be removed; an error in between is raised once."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, int]] = []

    async def purge(self, deleted_before: int, limit: int) -> int:
        self.asked.append((deleted_before, limit))
        answer = self.answers.pop(0) if self.answers else 0
        if isinstance(answer, Exception):
            raise answer
        return answer


def make(store: Slices) -> Pruner:
    return Pruner(store=cast(Store, store), clock=lambda: NOW)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruner, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(pruner, "LOOK_SECONDS", 0.01)


def test_streams_that_are_behind_have_time() -> None:
    """A send may be blocked for 30 s before it ends its stream."""
    assert 2 * PATIENCE.send <= GRACE_SECONDS


async def test_slices_until_nothing_is_left() -> None:
    store = Slices(500, 500, 3)
    await make(store).prune()
    assert store.asked == [(NOW - round(GRACE_SECONDS * 1e6), pruner.SLICE_ROWS)] * 4


async def test_it_goes_on_after_an_error() -> None:
    store = Slices(Unavailable("not now"), OSError("of another kind"), 1)
    made = make(store)
    made.start()
    await eventually(lambda: len(store.asked) >= 4)
    await made.stop()


async def test_it_stops_in_the_middle_and_without_a_start() -> None:
    class Endless(Slices):
        async def purge(self, deleted_before: int, limit: int) -> int:
            self.asked.append((deleted_before, limit))
            return 1

    store = Endless()
    made = make(store)
    await made.stop()
    made.start()
    await eventually(lambda: len(store.asked) > 10)
    await made.stop()
    seen: Any = len(store.asked)
    await asyncio.sleep(0)
    assert len(store.asked) == seen
