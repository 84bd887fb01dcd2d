"""What a watch knows of its agent's row, and when it has to look again."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from pygents_app.model import EventType, Head
from pygents_app.streaming.hub import Hub
from pygents_app.streaming.watch import Watch
from tests.app.streaming.fakes import VALUE, Log
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

DELETED = (EventType.AGENT_DELETED, None, b"{}")
CREATED = (EventType.AGENT_CREATED, None, b"{}")


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def hub(log: Log) -> AsyncIterator[Hub]:
    hub = Hub(reads=log, listen=log.listen, look=3600)
    hub.start(asyncio.get_running_loop())
    yield hub
    await hub.close()


@pytest.fixture
async def watch(hub: Hub) -> AsyncIterator[Watch]:
    watch = hub.watch("a")
    yield watch
    hub.leave(watch)


async def held(log: Log, looking: Coroutine[Any, Any, Head | None]) -> "asyncio.Task[Head | None]":
    """A look whose answer is held back by the log's gate, which is closed for it."""
    log.look_gate = asyncio.Event()
    task = asyncio.ensure_future(looking)
    before = log.looks
    await eventually(lambda: log.looks > before)
    return task


def latest(head: Head | None) -> int | None:
    return head.latest if head is not None else None


def release(log: Log) -> None:
    assert log.look_gate is not None
    log.look_gate.set()
    log.look_gate = None


async def test_all_who_ask_at_one_time_share_one_look(watch: Watch, log: Log) -> None:
    log.fill("a", 3)
    heads = await asyncio.gather(*(watch.head() for _ in range(50)))
    assert {latest(head) for head in heads} == {3}
    assert (log.looks, watch.known, watch.latest) == (1, True, 3)


async def test_who_goes_away_takes_the_look_from_nobody(watch: Watch, log: Log) -> None:
    log.fill("a", 1)
    first = await held(log, watch.head())
    second = asyncio.ensure_future(watch.head())
    await asyncio.sleep(0)
    first.cancel()
    release(log)
    assert latest(await second) == 1
    assert first.cancelled()


async def test_a_look_that_began_before_the_agent_was_made_is_not_believed(watch: Watch, log: Log) -> None:
    first = await held(log, watch.head())
    log.commit("a", CREATED)
    second = asyncio.ensure_future(watch.head())
    await asyncio.sleep(0)
    release(log)
    assert (await first, latest(await second)) == (None, 1)


async def test_a_look_that_began_before_the_agent_was_deleted_is_not_believed(watch: Watch, log: Log) -> None:
    log.fill("a", 1)
    first = await held(log, watch.head())
    log.commit("a", DELETED)
    await eventually(lambda: watch.latest == 2)
    second = asyncio.ensure_future(watch.head())
    await asyncio.sleep(0)
    release(log)
    assert (latest(await first), await second, watch.known) == (1, None, False)


async def test_who_has_seen_more_than_a_look_that_was_joined_gets_another(watch: Watch, log: Log) -> None:
    log.fill("a", 1)
    first = await held(log, watch.head())
    log.deaf = True
    log.fill("a", 4)
    second = asyncio.ensure_future(watch.head(seen=5))
    await asyncio.sleep(0)
    release(log)
    assert (latest(await first), latest(await second)) == (1, 5)


async def test_an_agent_made_anew_is_known_only_once_its_row_was_seen(watch: Watch, log: Log) -> None:
    log.commit("a", CREATED)
    await watch.head()
    log.commit("a", DELETED, CREATED)
    await eventually(lambda: watch.latest == 3)
    assert not watch.known
    assert (latest(await watch.head()), watch.known) == (3, True)


async def test_a_deletion_that_was_not_heard_of_is_found(log: Log) -> None:
    hub = Hub(reads=log, listen=log.listen, look=0.01)
    hub.start(asyncio.get_running_loop())
    watch = hub.watch("a")
    log.commit("a", CREATED, (VALUE, "t", b"1"))
    await watch.head()
    log.deaf = True
    log.commit("a", DELETED)
    await eventually(lambda: not watch.known)
    hub.leave(watch)
    await hub.close()


async def test_a_look_that_fails_fails_for_all(watch: Watch, log: Log) -> None:
    log.failure = OSError("gone")
    found = await asyncio.gather(watch.head(), watch.head(), return_exceptions=True)
    assert [type(error) for error in found] == [OSError, OSError]
