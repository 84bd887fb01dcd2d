"""The pruner: what may go is removed in slices, after the grace, also when the store cannot for a while."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from pygents_app.commands import Prune, Pruned
from pygents_app.errors import AgentNotFound, Damaged, Unavailable
from pygents_app.model import Event, EventType, Turn, TurnSpec, TurnStatus
from pygents_app.ports import Listener, Notice, OldLogs, Store
from pygents_app.runtime import pruner
from pygents_app.runtime.damages import Damages
from pygents_app.runtime.pruner import GRACE_SECONDS, Pruner, Retention
from pygents_app.streaming.subscription import PATIENCE
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000_000_000


class Slices:
    """A store of so many rows that may be removed; an error in between is raised once."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, int]] = []
        self.pruned: list[Prune] = []
        self.long: list[str] = []
        self.pinned: set[str] = set()
        self.old: list[str] = []
        self.hear: Listener = lambda notice: None

    async def purge(self, deleted_before: int, limit: int) -> int:
        self.asked.append((deleted_before, limit))
        answer = self.answers.pop(0) if self.answers else 0
        if isinstance(answer, Exception):
            raise answer
        return answer

    def listen(self, listener: Listener) -> Callable[[], None]:
        self.hear = listener
        return lambda: None

    async def prunable_agents(self, length: int, limit: int, after: str = "") -> list[str]:
        return [name for name in self.long if name > after]

    async def old_logs(self, before: int, now: int, after: int = 0) -> OldLogs:
        assert before == now - 60 * 1_000_000
        return OldLogs(self.old[after : after + 1], after + 1 if len(self.old) > after + 1 else None)

    async def execute(self, command: Prune) -> Pruned:
        self.pruned.append(command)
        if command.agent == "gone":
            raise AgentNotFound("gone")
        if command.agent == "bad":
            raise Damaged("The row of agent 'bad'")
        rows = 500 if sum(each.agent == command.agent for each in self.pruned) % 2 else 249
        return Pruned(rows, command.agent in self.pinned)


def make(store: Slices, events: int = 100) -> Pruner:
    kept = Retention(events, 60)
    return Pruner(store=cast(Store, store), clock=lambda: NOW, retention=kept, damages=Damages())


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruner, "PAUSE", 0.0)
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


def event(agent: str, seq: int) -> Event:
    return Event(agent, seq, EventType.TURN_VALUE, "t", 1, NOW, b"{}")


class TestLogs:
    async def test_those_that_grow_are_looked_at_once_in_a_while(self) -> None:
        store = Slices()
        made = make(store, events=100)
        made.start()
        store.hear(Notice([event("quiet", seq) for seq in range(1, 10)]))
        store.hear(Notice([event("busy", seq) for seq in range(1, 41)]))
        await eventually(lambda: store.pruned)
        await made.stop()
        assert [command.agent for command in store.pruned] == ["busy", "busy"]
        day = 24 * 3600 * 1_000_000
        assert store.pruned[0] == Prune("busy", 100, NOW - 60 * 1_000_000, NOW - day, pruner.SLICE_ROWS)

    async def test_those_that_are_old(self) -> None:
        store = Slices()
        store.old = ["one", "gone", "bad", "two"]
        await make(store).prune()
        assert [command.agent for command in store.pruned] == ["one", "one", "gone", "bad", "two", "two"]

    async def test_a_damaged_one_is_tried_once(self) -> None:
        store = Slices()
        store.old = ["bad", "one"]
        made = make(store)
        await made.prune()
        await made.prune()
        assert [command.agent for command in store.pruned] == ["bad", "one", "one", "one", "one"]

    async def test_one_that_is_gone_is_not_waited_for(self) -> None:
        store = Slices()
        store.long = ["gone"]
        made = make(store)
        made.start()
        await eventually(lambda: store.pruned)
        store.hear(Notice(ended=[Turn(TurnSpec("t", "gone", "greet"), TurnStatus.CANCELLED, 0, 1, 2)]))
        store.hear(Notice([event("busy", pruner.SLICE_ROWS)]))
        await eventually(lambda: len(store.pruned) > 1)
        await made.stop()
        assert {command.agent for command in store.pruned[1:]} == {"busy"}

    async def test_all_that_a_sweep_finds(self) -> None:
        store = Slices()
        store.long = ["a", "b", "c"]
        await make(store).sweep()
        assert [command.agent for command in store.pruned] == ["a", "b", "c", "a", "b", "c"]

    async def test_a_start_sweeps(self) -> None:
        store = Slices()
        store.long = ["a"]
        made = make(store)
        made.start()
        await eventually(lambda: store.pruned)
        await made.stop()

    @pytest.mark.parametrize("ticks", range(8))
    async def test_a_stop_right_after_it_was_told_something(self, monkeypatch: pytest.MonkeyPatch, ticks: int) -> None:
        """A wait that has its answer already may swallow the cancellation, and then nothing would ever end it."""
        monkeypatch.setattr(pruner, "LOOK_SECONDS", 60.0)
        store = Slices()
        made = make(store)
        made.start()
        await eventually(lambda: store.asked)
        await asyncio.sleep(0.01)
        store.hear(Notice([event("busy", pruner.SLICE_ROWS)]))
        for _ in range(ticks):
            await asyncio.sleep(0)
        done, _ = await asyncio.wait([asyncio.ensure_future(made.stop())], timeout=1)
        assert done

    async def test_what_a_running_turn_has_held_goes_when_it_ends(self) -> None:
        store = Slices()
        store.long, store.pinned = ["held", "other"], {"held"}
        made = make(store)
        made.start()
        await eventually(lambda: len(store.pruned) == 4)
        ended = [Turn(TurnSpec("t", name, "greet"), TurnStatus.COMPLETED, 0, 1, 2) for name in ("other", "held")]
        store.hear(Notice(ended=ended))
        await eventually(lambda: len(store.pruned) == 6)
        await made.stop()
        assert {command.agent for command in store.pruned[4:]} == {"held"}
