"""What the hub does for all streams: news, pings, patience, drain, and the end of turns."""

import asyncio
import threading
from collections.abc import AsyncIterator
from unittest.mock import Mock

import pytest

from pygents_app.ports import Notice
from pygents_app.streaming.hub import Hub
from pygents_app.streaming.subscription import Patience, Subscription
from pygents_app.streaming.watch import Watch
from pygents_app.telemetry import Dropped, Happening, Replayed
from tests.app.streaming.fakes import Client, Log, run
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

LONG = Patience(ping=3600, send=3600)


class Open:
    """A client on an agent's stream; what the endpoint does is done by hand."""

    def __init__(self, hub: Hub, agent: str = "a", cursor: int = 0) -> None:
        self.hub = hub
        self.client = Client()
        self.watch: Watch = hub.watch(agent)
        self.watch.reaches(cursor)
        self.subscription: Subscription = hub.join(
            self.watch, cursor=cursor, send=self.client.send, connection=self.client
        )

    def close(self) -> None:
        self.hub.part(self.watch, self.subscription)
        self.hub.leave(self.watch)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def hub(log: Log) -> AsyncIterator[Hub]:
    hub = Hub(reads=log, listen=log.listen, patience=LONG, look=3600)
    hub.start(asyncio.get_running_loop())
    yield hub
    await hub.close()


async def test_commits_on_another_thread_arrive(hub: Hub, log: Log) -> None:
    stream = Open(hub)

    def write() -> None:
        for _ in range(500):
            log.fill("a", 1)

    writer = threading.Thread(target=write)
    writer.start()
    await eventually(lambda: stream.client.seqs == run(1, 500))
    writer.join()
    stream.close()


async def test_a_batch_of_commits_is_one_call(hub: Hub, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    counted = Mock(wraps=loop.call_soon_threadsafe)
    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    stream = Open(hub)
    for _ in range(100):
        log.fill("a", 1)
    await eventually(lambda: stream.client.seqs == run(1, 100))
    assert (counted.call_count, len(stream.client.chunks)) == (1, 1)
    stream.close()


async def test_an_agent_that_nobody_watches_costs_nothing(hub: Hub, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Open(hub)
    stream.close()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: pytest.fail("the loop was bothered"))
    log.fill("a", 10)
    assert hub.streams == 0


async def test_news_of_one_agent_wakes_no_other(hub: Hub, log: Log) -> None:
    one, other = Open(hub, "a"), Open(hub, "b")
    log.fill("a", 3)
    await eventually(lambda: one.client.seqs == run(1, 3))
    assert not other.client.chunks
    one.close()
    other.close()


async def test_a_closed_loop_does_not_hurt_the_committer(log: Log) -> None:
    loop = asyncio.new_event_loop()
    hub = Hub(reads=log, listen=log.listen, patience=LONG)
    hub.start(loop)
    hub.watch("a")
    loop.close()
    log.fill("a", 1)


async def test_silent_streams_are_pinged(log: Log) -> None:
    hub = Hub(reads=log, listen=log.listen, patience=Patience(ping=0.02, send=3600))
    hub.start(asyncio.get_running_loop())
    stream = Open(hub)
    await eventually(lambda: stream.client.body.count(b": ping\n\n") >= 2)
    log.fill("a", 1)
    await eventually(lambda: stream.client.seqs == [1])
    stream.close()
    await hub.close()


async def test_a_send_that_waits_too_long_ends_that_stream(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Happening] = []
    hub = Hub(reads=log, listen=log.listen, patience=Patience(ping=3600, send=0.05), emit=told.append)
    hub.start(asyncio.get_running_loop())
    slow, quick = Open(hub), Open(hub)
    with slow.client.stalled():
        log.fill("a", 1)
        await eventually(lambda: slow.client.aborted)
        assert quick.client.seqs == [1]
        assert not quick.client.aborted
    assert told == [Dropped()]
    (line,) = caplog.records
    assert (line.levelname, line.pygents_about["agent"]) == ("WARNING", "a")  # type: ignore[attr-defined]
    assert "took nothing for 0.05 seconds" in line.getMessage()
    slow.close()
    quick.close()
    await hub.close()


async def test_how_far_the_slowest_is_behind(log: Log) -> None:
    hub = Hub(reads=log, listen=log.listen, patience=LONG)
    hub.start(asyncio.get_running_loop())
    slow, quick = Open(hub), Open(hub)
    assert hub.behind == 0
    with slow.client.stalled():
        log.fill("a", 1)
        await eventually(lambda: quick.client.seqs == [1])
        log.fill("a", 2)
        await eventually(lambda: quick.client.seqs == [1, 2, 3])
        assert hub.behind == 2
    await eventually(lambda: hub.behind == 0)
    slow.close()
    quick.close()
    await hub.close()


async def test_reads_of_the_store_are_told(log: Log) -> None:
    told: list[Happening] = []
    log.fill("a", 3)
    hub = Hub(reads=log, listen=log.listen, patience=LONG, emit=told.append)
    hub.start(asyncio.get_running_loop())
    stream = Open(hub)
    stream.watch.reaches(3)
    stream.subscription.wake()
    await eventually(lambda: told == [Replayed(3)])
    stream.close()
    await hub.close()


async def test_a_lost_hint_costs_latency_only(log: Log) -> None:
    hub = Hub(reads=log, listen=log.listen, patience=LONG, look=0.02)
    hub.start(asyncio.get_running_loop())
    stream = Open(hub)
    log.deaf = True
    log.fill("a", 3)
    await eventually(lambda: stream.client.seqs == run(1, 3))
    log.failure = OSError("for now")
    log.fill("a", 1)
    await eventually(lambda: hub._looking is not None and hub._looking.done())
    log.failure = None
    await eventually(lambda: stream.client.seqs == run(1, 4))
    stream.close()
    await hub.close()


class TestDrain:
    async def test_streams_end_cleanly_and_new_ones_at_once(self, hub: Hub, log: Log) -> None:
        streams = [Open(hub) for _ in range(20)]
        log.fill("a", 1)

        async def endpoint(stream: Open) -> None:
            await eventually(lambda: stream.client.ended)
            stream.close()

        async with asyncio.TaskGroup() as endpoints:
            for stream in streams:
                endpoints.create_task(endpoint(stream))
            endpoints.create_task(hub.drain())
        late = Open(hub)
        retries = set()
        for stream in [*streams, late]:
            retry, closing = stream.client.body.split(b"\n\n")[-3:-1]
            assert closing == b'event: stream.closing\ndata: {"reason":"draining"}'
            retries.add(int(retry.removeprefix(b"retry: ")))
        assert all(2000 <= retry <= 5000 for retry in retries)
        assert len(retries) > 10, "spread, so that not all come back at once"
        late.close()

    async def test_a_client_that_takes_nothing_is_cut(self, hub: Hub, log: Log) -> None:
        slow = Open(hub)
        with slow.client.stalled():
            log.fill("a", 1)
            await eventually(lambda: slow.client.waiting)
            await hub.drain(within=0.02)
            assert slow.client.aborted
        slow.close()

    async def test_a_client_that_takes_it_in_time_sees_a_clean_end(self, hub: Hub, log: Log) -> None:
        slow = Open(hub)
        with slow.client.stalled():
            log.fill("a", 1)
            await eventually(lambda: slow.client.waiting)
            draining = asyncio.create_task(hub.drain(within=5))
        await eventually(lambda: slow.client.ended)
        slow.close()
        await draining
        assert not slow.client.aborted
        assert slow.client.body.endswith(b'{"reason":"draining"}\n\n')


class TestEndings:
    async def test_the_end_of_a_turn(self, hub: Hub, log: Log) -> None:
        turn = log.begin_turn("a")
        with hub.ending(turn.id) as one, hub.ending(turn.id) as two:
            ended = log.end_turn(turn)
            assert await asyncio.wait_for(one, 5) == await asyncio.wait_for(two, 5) == ended
            log.tell(Notice(ended=[ended]))
        assert not len(hub._endings)

    async def test_another_turns_end_is_not_it(self, hub: Hub, log: Log) -> None:
        turn, other = log.begin_turn("a"), log.begin_turn("a")
        with hub.ending(turn.id) as mine, hub.ending(other.id) as others:
            log.end_turn(other)
            await asyncio.wait_for(others, 5)
            assert not mine.done()

    async def test_drain_answers_who_waits_and_who_comes(self, hub: Hub) -> None:
        with hub.ending("x") as ending:
            await hub.drain()
            assert await asyncio.wait_for(ending, 5) is None
        with hub.ending("y") as late:
            assert await asyncio.wait_for(late, 5) is None
