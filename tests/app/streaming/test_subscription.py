"""One reader against the log: whatever happens, it gets what follows its cursor, once and in order."""

import asyncio
import weakref
from collections.abc import AsyncIterator

import pytest

from pygents_app.errors import Unavailable
from pygents_app.model import EventType
from pygents_app.streaming.hub import Hub
from pygents_app.streaming.ring import BATCH_BYTES
from pygents_app.streaming.subscription import Patience, State, Subscription
from pygents_app.streaming.watch import Watch
from tests.app.streaming.fakes import VALUE, Client, Log, ids_of, run
from tests.helpers import eventually

pytestmark = pytest.mark.anyio


class Desk:
    """A hub on a log, and clients that join it as the endpoint would."""

    def __init__(self) -> None:
        self.log = Log()
        self.hub = Hub(reads=self.log, listen=self.log.listen, patience=Patience(ping=3600, send=3600))
        self.joined: list[tuple[Watch, Subscription]] = []

    async def open(
        self,
        cursor: int,
        *,
        turn_id: str | None = None,
        types: frozenset[EventType] | None = None,
        client: Client | None = None,
    ) -> tuple[Client, Subscription]:
        client = client or Client()
        watch = self.hub.watch("a")
        listed = await self.log.get_agent("a")
        watch.reaches(listed.head.latest if listed else 0)
        subscription = self.hub.join(
            watch, cursor=cursor, send=client.send, connection=client, turn_id=turn_id, types=types
        )
        self.joined.append((watch, subscription))
        return client, subscription

    def close(self, subscription: Subscription) -> None:
        for watch, joined in self.joined:
            if joined is subscription:
                self.hub.part(watch, subscription)
                self.hub.leave(watch)
        self.joined = [pair for pair in self.joined if pair[1] is not subscription]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    desk.hub.start(asyncio.get_running_loop())
    yield desk
    for _, subscription in tuple(desk.joined):
        desk.close(subscription)
    await desk.hub.close()


async def test_replay_then_live(desk: Desk) -> None:
    desk.log.fill("a", 1000)
    client, _ = await desk.open(0)
    await eventually(lambda: client.seqs == run(1, 1000))
    reads = len(desk.log.reads)
    desk.log.fill("a", 10)
    await eventually(lambda: client.seqs == run(1, 1010))
    assert len(desk.log.reads) == reads, "live events come from the ring"
    assert all(len(chunk) <= BATCH_BYTES for chunk in client.chunks)


async def test_one_commit_is_one_write(desk: Desk) -> None:
    client, _ = await desk.open(0)
    desk.log.fill("a", 50)
    await eventually(lambda: client.seqs == run(1, 50))
    assert len(client.chunks) == 1


async def test_events_are_joined_up_to_the_bound_only(desk: Desk) -> None:
    client, _ = await desk.open(0)
    desk.log.fill("a", 50, size=10_000)
    await eventually(lambda: client.seqs == run(1, 50))
    assert 8 < len(client.chunks) < 15
    assert all(len(chunk) <= BATCH_BYTES for chunk in client.chunks)


async def test_a_large_event_goes_out_in_pieces(desk: Desk) -> None:
    client, subscription = await desk.open(0)
    desk.log.fill("a", 2, size=250_000)
    await eventually(lambda: client.seqs == run(1, 2))
    assert all(len(chunk) <= BATCH_BYTES for chunk in client.chunks)
    with client.stalled():
        desk.log.fill("a", 1, size=250_000)
        await eventually(lambda: client.waiting)
        assert subscription.state is State.SENDING
    await eventually(lambda: client.seqs == run(1, 3))


async def test_while_a_send_waits_nothing_more_is_taken(desk: Desk) -> None:
    client, subscription = await desk.open(0)
    other, _ = await desk.open(0)
    with client.stalled():
        for _ in range(500):
            desk.log.fill("a", 2, size=500)
        await eventually(lambda: other.seqs == run(1, 1000))
        assert client.waiting == 1
        assert subscription.cursor < 200
    await eventually(lambda: client.seqs == run(1, 1000))


async def test_a_lost_hint_is_made_up_for_by_the_next(desk: Desk) -> None:
    client, _ = await desk.open(0)
    desk.log.fill("a", 3)
    desk.log.deaf = True
    desk.log.fill("a", 3)
    desk.log.deaf = False
    desk.log.fill("a", 1)
    await eventually(lambda: client.seqs == run(1, 7))
    reads = len(desk.log.reads)
    desk.log.fill("a", 1)
    await eventually(lambda: client.seqs == run(1, 8))
    assert len(desk.log.reads) == reads, "the read has mended the ring"


async def test_many_who_resume_at_once_share_a_read(desk: Desk) -> None:
    desk.log.fill("a", 10)
    desk.log.gate = asyncio.Event()
    clients = [(await desk.open(3))[0] for _ in range(1000)]
    await eventually(lambda: desk.log.reads)
    desk.log.gate.set()
    await eventually(lambda: all(client.seqs == run(4, 10) for client in clients))
    assert desk.log.reads == [("a", 3)]


async def test_leaving_during_a_read_frees_it(desk: Desk) -> None:
    desk.log.fill("a", 10)
    desk.log.gate = asyncio.Event()
    before = asyncio.all_tasks()
    client, subscription = await desk.open(0)
    assert subscription.state is State.READING
    desk.close(subscription)
    await eventually(lambda: asyncio.all_tasks() == before)
    assert not client.chunks
    assert desk.hub.streams == 0


async def test_leaving_during_a_read_that_others_wait_for_frees_it_too(desk: Desk) -> None:
    desk.log.fill("a", 10)
    desk.log.gate = asyncio.Event()
    stays, _ = await desk.open(0)
    _, leaves = await desk.open(0)
    desk.close(leaves)
    gone = weakref.ref(leaves)
    del leaves
    assert gone() is None
    desk.log.gate.set()
    await eventually(lambda: stays.seqs == run(1, 10))


async def test_ending_during_a_read(desk: Desk) -> None:
    desk.log.fill("a", 10)
    desk.log.gate = asyncio.Event()
    client, subscription = await desk.open(0)
    page = desk.joined[0][0].page(0)
    subscription.farewell(b"bye")
    desk.log.gate.set()
    await page
    await asyncio.sleep(0)
    assert client.body == b"bye"
    assert client.ended


async def test_leaving_while_a_send_waits_frees_it(desk: Desk) -> None:
    before = asyncio.all_tasks()
    client, subscription = await desk.open(0)
    with client.stalled():
        desk.log.fill("a", 1)
        await eventually(lambda: client.waiting)
        desk.close(subscription)
        await eventually(lambda: not client.waiting)
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_a_broken_send_ends_that_stream_only(desk: Desk) -> None:
    broken, subscription = await desk.open(0)
    other, _ = await desk.open(0)
    broken.broken = True
    desk.log.fill("a", 1)
    await eventually(lambda: other.seqs == [1])
    assert broken.aborted
    assert subscription.state is State.ENDED


async def test_a_send_that_breaks_after_waiting_ends_that_stream_only(desk: Desk) -> None:
    client, _ = await desk.open(0)
    with client.stalled():
        desk.log.fill("a", 1)
        await eventually(lambda: client.waiting)
        client.ended = True  # makes the send fail once it goes on
    await eventually(lambda: client.aborted)


async def test_a_store_that_cannot_read_closes_cleanly(desk: Desk) -> None:
    desk.log.fill("a", 1)
    desk.log.gate = asyncio.Event()
    client, _ = await desk.open(0)
    desk.log.failure = Unavailable("not now")
    desk.log.gate.set()
    await eventually(lambda: client.ended)
    assert client.body.startswith(b"retry: ")
    assert b'event: stream.closing\ndata: {"reason":"unavailable"}\n\n' in client.body
    assert not client.seqs


async def test_a_reader_that_retention_overtakes_is_told(desk: Desk) -> None:
    client, _ = await desk.open(0)
    with client.stalled():
        desk.log.fill("a", 1000)
        await eventually(lambda: client.waiting)
        desk.log.prune("a", 901)
    await eventually(lambda: client.seqs[-1:] == [1000])
    position = client.seqs.index(901)
    overtaken = client.seqs[position - 1]
    assert client.seqs == run(1, overtaken) + run(901, 1000)  # type: ignore[operator]
    reset = b'id: 900\n\nevent: stream.reset\ndata: {"reason":"retention","cursor":%d,"earliest":901,"latest":1000}\n\n'
    assert reset % overtaken in client.body


class TestTurnStream:
    async def test_only_the_turn_to_its_end(self, desk: Desk) -> None:
        desk.log.fill("a", 3, turn_id="other")
        turn = desk.log.begin_turn("a")
        client, subscription = await desk.open(turn.first_seq - 1, turn_id=turn.id)
        desk.log.fill("a", 2, turn_id="other")
        desk.log.fill("a", 2, turn_id=turn.id)
        desk.log.end_turn(turn)
        desk.log.fill("a", 2, turn_id="other")
        await eventually(lambda: client.ended)
        assert client.seqs == [4, 7, 8, 9]
        assert ids_of(client.body) == client.seqs, "the cursor moves silently"
        assert subscription.state is State.ENDED

    async def test_a_filter_never_hides_the_end(self, desk: Desk) -> None:
        turn = desk.log.begin_turn("a")
        desk.log.fill("a", 2, turn_id=turn.id)
        desk.log.end_turn(turn)
        client, _ = await desk.open(0, turn_id=turn.id, types=frozenset({EventType.TURN_STARTED}))
        await eventually(lambda: client.ended)
        assert client.seqs == [4]

    async def test_one_whose_end_was_pruned_ends(self, desk: Desk) -> None:
        turn = desk.log.begin_turn("a")
        client, _ = await desk.open(0, turn_id=turn.id)
        await eventually(lambda: client.seqs == [1])
        with client.stalled():
            desk.log.fill("a", 1, turn_id=turn.id)
            await eventually(lambda: client.waiting)
            desk.log.end_turn(turn)
            desk.log.fill("a", 400, turn_id="other")
            desk.log.prune("a", 100)
        await eventually(lambda: client.ended)
        assert client.seqs == [1, 2]


async def test_a_filter_moves_the_cursor_by_bare_ids(desk: Desk) -> None:
    client, _ = await desk.open(0, types=frozenset({EventType.AGENT_PAUSED}))
    desk.log.commit("a", (EventType.AGENT_PAUSED, None, b"{}"), (VALUE, "t", b"1"), (VALUE, "t", b"2"))
    await eventually(lambda: ids_of(client.body) == [1, 3])
    assert client.seqs == [1]
    desk.log.commit("a", (EventType.AGENT_PAUSED, None, b"{}"))
    await eventually(lambda: ids_of(client.body) == [1, 3, 4])
    assert client.seqs == [1, 4]
