"""What a begun turn writes: its one end, after its values, whatever the store says, and the release of a held agent."""

import json
from typing import cast

import pytest

from pygents_app.commands import Append, Finish, Release, Starter
from pygents_app.errors import Fenced, StoreFull
from pygents_app.model import Outcome, Turn, TurnSpec, TurnStatus
from pygents_app.ports import Store
from pygents_app.runtime import outbox as outbox_module
from pygents_app.runtime import scribe as module
from pygents_app.runtime.capacity import Capacity
from pygents_app.runtime.outcomes import CANCELLED
from pygents_app.runtime.scribe import Ending, Scribe
from tests.app.runtime.fakes import BEGUN, FakeStore, ticks

pytestmark = pytest.mark.anyio

DONE = Ending(Outcome(TurnStatus.COMPLETED, output=b"1"), memory=b"[1]", returned=TurnSpec("next", "a", "tool"))


class Scene:
    """A scribe over a store that the test answers for."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.lost: list[bool] = []
        self.ends: list[Turn | None] = []
        self.scribe = Scribe(
            BEGUN,
            store=cast(Store, self.store),
            capacity=Capacity(starter=Starter("n", frozenset()), concurrency=1),
            mailbox_limit=10,
            lost=lambda: self.lost.append(True),
            ended=self.ends.append,
        )

    @property
    def kinds(self) -> list[type[Append | Finish | Release]]:
        return [type(command) for command in self.store.sent]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is tried again is tried again at once."""
    monkeypatch.setattr(module, "REPEAT_SECONDS", 0.0)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(outbox_module, "RETRY_SECONDS", 0.0)


def error_type(command: Finish) -> str | None:
    return str(json.loads(command.outcome.error)["type"]) if command.outcome.error is not None else None


async def test_the_end_comes_after_the_values_and_takes_what_is_left() -> None:
    scene = Scene()
    await scene.scribe.value(b"1")
    await ticks()
    await scene.scribe.value(b"2")
    scene.scribe.finish(DONE)
    assert scene.kinds == [Append]
    await scene.store.answer()
    assert scene.kinds == [Append, Finish]
    end = scene.store.end
    assert (end.values, end.outcome, end.memory, end.returned) == ((b"2",), *DONE)
    assert scene.ends == []
    await scene.store.answer()
    assert scene.ends == [None]


async def test_lost_values_make_the_turn_an_error() -> None:
    """A turn whose values are not in the log must not be told to be complete; nothing of it is committed."""
    scene = Scene()
    await scene.scribe.value(b"1")
    await ticks()
    await scene.store.answer(RuntimeError("broken"))
    assert scene.lost == [True]
    scene.scribe.finish(DONE)
    end = scene.store.end
    assert (end.outcome.status, error_type(end)) == (TurnStatus.ERROR, "not_stored")
    assert (end.values, end.memory, end.returned) == ((), None, None)


async def test_an_end_that_the_store_cannot_take_is_written_bare() -> None:
    scene = Scene()
    await scene.scribe.value(b"1")
    scene.scribe.finish(DONE)
    await scene.store.answer(RuntimeError("broken"))
    await scene.store.asked(2)
    assert scene.ends == []
    end = scene.store.end
    assert (end.outcome.status, error_type(end)) == (TurnStatus.ERROR, "not_stored")
    assert (end.values, end.memory, end.returned) == ((), None, None)
    await scene.store.answer(RuntimeError("still broken"))
    await scene.store.asked(3)
    await scene.store.answer()
    assert scene.ends == [None]


async def test_a_full_store_gets_the_same_end_again() -> None:
    scene = Scene()
    scene.scribe.finish(DONE)
    await scene.store.answer(StoreFull("full"))
    await scene.store.asked(2)
    assert scene.store.sent[0] == scene.store.sent[1]


@pytest.mark.parametrize("answer", [None, Fenced("of another owner")])
async def test_an_end_that_is_not_accepted_is_given_up_and_the_agent_released(answer: Fenced | None) -> None:
    """A deleted agent waits for that; one that has another owner refuses it, too."""
    scene = Scene()
    scene.scribe.finish(DONE)
    await scene.store.answer(Fenced("gone"))
    await ticks()
    assert (scene.kinds, scene.ends) == ([Finish, Release], [])
    await scene.store.answer(answer)
    await ticks()
    assert (scene.kinds, scene.ends) == ([Finish, Release], [None])


# --- code that stops late --------------------------------------------------------------------------------------------


async def test_a_release_waits_for_the_end_to_be_written() -> None:
    """The agent is held by the end: a release that came before it would be refused, and the agent held for ever."""
    scene = Scene()
    await scene.scribe.value(b"1")
    await ticks()
    scene.scribe.abandon(Ending(CANCELLED))
    scene.scribe.release()
    assert scene.kinds == [Append]
    await scene.store.answer()
    assert (scene.kinds, scene.store.end.hold) == ([Append, Finish], True)
    await scene.store.answer()
    assert (scene.kinds, scene.ends) == ([Append, Finish, Release], [])
    await scene.store.answer()
    assert scene.ends == [None]


async def test_a_release_after_the_end_is_sent_at_once() -> None:
    scene = Scene()
    scene.scribe.abandon(Ending(CANCELLED))
    await scene.store.answer()
    assert (scene.kinds, scene.ends) == ([Finish], [])
    scene.scribe.release()
    assert scene.kinds == [Finish, Release]
    await scene.store.answer()
    assert scene.ends == [None]


async def test_a_release_waits_for_an_end_that_has_to_be_repeated() -> None:
    scene = Scene()
    scene.scribe.abandon(Ending(CANCELLED))
    scene.scribe.release()
    await scene.store.answer(StoreFull("full"))
    await scene.store.asked(2)
    assert scene.kinds == [Finish, Finish]
    await scene.store.answer()
    assert scene.kinds == [Finish, Finish, Release]
