"""The stream routes over real sockets: what a client sees, and what is left when it has gone."""

import asyncio
import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from pygents_app.api.connection import Connection
from pygents_app.api.handover import DirectSend
from pygents_app.api.streams import stream_routes
from pygents_app.errors import Unavailable
from pygents_app.model import EventType
from pygents_app.streaming.hub import Hub
from pygents_app.streaming.ring import BATCH_BYTES
from pygents_app.streaming.subscription import Patience
from tests.app.streaming.fakes import Log, run, seqs_of
from tests.app.streaming.serving import Peer, Service, served
from tests.helpers import eventually_sync


@pytest.fixture
def service() -> Iterator[Service]:
    with served() as service:
        yield service


def get(service: Service, path: str, **headers: str) -> httpx.Response:
    return httpx.get(service.url + path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def last(seq: int) -> bytes:
    return b'data: {"seq":%d,' % seq


def test_headers_and_the_first_bytes(service: Service) -> None:
    service.log.fill("a", 0)
    with Peer(service, "/agents/a/stream") as peer:
        body = peer.read_until(b"id: 0\n\n")
        assert re.fullmatch(rb"retry: [123]\d{3}\n\nid: 0\n\n", body)
        head = peer.head.lower()
        assert head.startswith(b"http/1.1 200 ")
        for header in (b"content-type: text/event-stream\r", b"cache-control: no-store\r", b"x-accel-buffering: no"):
            assert header in head
        assert b"content-encoding" not in head


def test_an_independent_client_reads_replay_and_live(service: Service) -> None:
    service.log.commit("a", (EventType.TURN_VALUE, "t", '{"value":"a\u2028b"}'.encode()))
    with (
        httpx.Client(timeout=10) as client,
        connect_sse(client, "GET", service.url + "/agents/a/stream") as source,
    ):
        events = (event for event in source.iter_sse() if event.data)
        first = next(events)
        assert (first.id, first.event, json.loads(first.data)["data"]) == ("1", "turn.value", {"value": "a\u2028b"})
        service.log.fill("a", 1)
        assert next(events).id == "2"


@pytest.mark.parametrize("handover", [True, False])
def test_streams_work_with_and_without_handover(handover: bool) -> None:
    with served(handover=handover) as service:
        service.log.fill("a", 300)
        with Peer(service, "/agents/a/stream") as peer:
            peer.read_until(last(300))
            service.log.fill("a", 3)
            assert seqs_of(peer.read_until(last(303))) == run(1, 303)


class TestCursor:
    """A log of which 101 to 110 are retained."""

    @pytest.fixture(autouse=True)
    def log(self, service: Service) -> None:
        service.log.fill("a", 110)
        service.log.prune("a", 101)

    @pytest.mark.parametrize(
        ("query", "last_event_id", "first"),
        [
            ("", None, 101), ("", "", 101), ("?after=", None, 101), ("?after=100", None, 101),
            ("?after=105", None, 106), ("?after=latest", None, 111), ("?after=110", None, 111),
            ("?tail=3", None, 108), ("?tail=1000", None, 101), ("?tail=2", "", 109),
            ("?after=102", "107", 108), ("?after=latest", "107", 108), ("?tail=1&after=105", None, 106),
        ],
    )  # fmt: skip
    def test_where_a_stream_begins(self, service: Service, query: str, last_event_id: str | None, first: int) -> None:
        header = "" if last_event_id is None else f"Last-Event-ID: {last_event_id}\r\n"
        with Peer(service, f"/agents/a/stream{query}", headers=header) as peer:
            peer.read_until(b"id: %d\n\n" % (first - 1))
            service.log.fill("a", 1)
            body = peer.read_until(last(111))
        assert seqs_of(body) == run(first, 111)
        assert b"stream.reset" not in body

    @pytest.mark.parametrize(
        ("cursor", "reason"), [(0, "retention"), (99, "retention"), (111, "unknown"), (10**18 - 1, "unknown")]
    )
    def test_a_cursor_that_cannot_be_gone_on_from(self, service: Service, cursor: int, reason: str) -> None:
        with Peer(service, "/agents/a/stream", headers=f"Last-Event-ID: {cursor}\r\n") as peer:
            body = peer.read_until(last(110))
        told = b'{"reason":"%s","cursor":%d,"earliest":101,"latest":110}' % (reason.encode(), cursor)
        assert re.match(rb"retry: \d+\n\nid: 100\n\nevent: stream.reset\ndata: " + re.escape(told) + b"\n\n", body)
        assert seqs_of(body) == run(101, 110)

    @pytest.mark.parametrize(
        "cursor", ["-5", "1_0", "+1", "abc", "1.0", "\u0661", "9" * 24, "99999999999999999999999", "latest"]
    )
    def test_malformed(self, service: Service, cursor: str) -> None:
        headers = f"Last-Event-ID: {cursor}\r\n"
        with Peer(service, "/agents/a/stream", headers=headers) as peer:
            peer.socket.shutdown(1)
            peer.read_to_cut()
            assert peer.head.startswith(b"HTTP/1.1 400 ")

    @pytest.mark.parametrize("after", ["-1", "%2B1", "1_0", "%D9%A1", "%201", "9" * 19])
    def test_malformed_queries(self, service: Service, after: str) -> None:
        answer = get(service, f"/agents/a/stream?after={after}")
        assert (answer.status_code, answer.json()["type"]) == (400, "malformed-cursor")

    @pytest.mark.parametrize(
        "query",
        [
            "tail=0",
            "tail=1001",
            "tail=x",
            "tail=",
            "types=turn.nope",
            "types=turn.value,",
            "types=",
            "aftr=1",
            "after=1&after=2",
        ],
    )
    def test_bad_queries(self, service: Service, query: str) -> None:
        answer = get(service, f"/agents/a/stream?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == query.partition("=")[0]
        if "types" in query:
            assert "turn.completed" in answer.json()["detail"]


def test_unknown_agents_and_turns(service: Service) -> None:
    service.log.fill("a", 1)
    assert get(service, "/agents/b/stream").json()["type"] == "agent-not-found"
    assert get(service, "/agents/b/turns/x/stream").json()["type"] == "agent-not-found"
    answer = get(service, "/agents/a/turns/x/stream")
    assert (answer.status_code, answer.json()["type"]) == (404, "turn-not-found")
    assert not service.hub._watches


@pytest.mark.parametrize("path", ["/agents/a/stream", "/agents/a/turns/{id}/stream", "/agents/a/events"])
def test_head_answers_headers_only(service: Service, path: str) -> None:
    turn = service.log.begin_turn("a")
    answer = httpx.head(service.url + path.format(id=turn.id), timeout=5)
    assert (answer.status_code, answer.content) == (200, b"")
    assert httpx.post(service.url + path.format(id=turn.id)).status_code == 405


class TestOpening:
    """What is known of an agent that somebody reads already is not read again."""

    @pytest.mark.parametrize("cursor", ["latest", "300"])
    def test_who_is_at_the_end_of_a_log_that_is_read_needs_no_look(self, service: Service, cursor: str) -> None:
        service.log.fill("a", 300)
        with Peer(service, "/agents/a/stream?after=latest") as first:
            first.read_until(b"id: 300\n\n")
            looks = service.log.looks
            with Peer(service, f"/agents/a/stream?after={cursor}") as second:
                second.read_until(b"id: 300\n\n")
                service.log.fill("a", 1)
                assert seqs_of(second.read_until(last(301))) == [301]
            assert service.log.looks == looks

    def test_the_end_is_where_the_log_has_grown_to(self, service: Service) -> None:
        service.log.fill("a", 1)
        with Peer(service, "/agents/a/stream") as first:
            service.log.fill("a", 2)
            first.read_until(last(3))
            with Peer(service, "/agents/a/stream?after=latest") as second:
                second.read_until(b"id: 3\n\n")

    def test_all_others_need_one(self, service: Service) -> None:
        service.log.fill("a", 300)
        with Peer(service, "/agents/a/stream?after=latest") as first:
            first.read_until(b"id: 300\n\n")
            service.log.prune("a", 290)
            with Peer(service, "/agents/a/stream") as second:
                assert seqs_of(second.read_until(last(300))) == run(290, 300)
                assert b"stream.reset" not in second.body
            with Peer(service, "/agents/a/stream?after=12") as second:
                second.read_until(b'"reason":"retention","cursor":12,"earliest":290,"latest":300')
            with Peer(service, "/agents/a/stream?after=301") as second:
                second.read_until(b'"reason":"unknown","cursor":301,"earliest":290,"latest":300')

    def test_a_deleted_agent_is_not_known_any_more(self, service: Service) -> None:
        service.log.fill("a", 1)
        with Peer(service, "/agents/a/stream") as first:
            first.read_until(last(1))
            service.log.commit("a", (EventType.AGENT_DELETED, None, b"{}"))
            first.read_to_end()
            assert get(service, "/agents/a/stream?after=latest").status_code == 404


class TestTurnStream:
    def test_from_its_first_event_to_its_end(self, service: Service) -> None:
        service.log.fill("a", 2)
        turn = service.log.begin_turn("a")
        with Peer(service, f"/agents/a/turns/{turn.id}/stream?after=0") as peer:
            peer.read_until(last(3))
            service.log.fill("a", 1, turn_id=turn.id)
            service.log.fill("a", 1, turn_id="other")
            ended = service.log.end_turn(turn)
            service.log.fill("a", 1, turn_id="other")
            assert seqs_of(peer.read_to_end()) == [3, 4, 6]
        for path, expected in [("", [3, 4, 6]), ("?after=3", [4, 6]), ("?tail=1", [6]), ("?types=turn.queued", [3, 6])]:
            with Peer(service, f"/agents/a/turns/{turn.id}/stream{path}") as peer:
                assert seqs_of(peer.read_to_end()) == expected
        assert ended.last_seq == 6

    @pytest.mark.parametrize("cursor", ["6", "7", "8", "9000", "latest"])
    def test_nothing_more_to_come(self, service: Service, cursor: str) -> None:
        service.log.fill("a", 4)
        service.log.end_turn(service.log.begin_turn("a"))
        service.log.fill("a", 2)
        (turn,) = service.log.turns
        answer = get(service, f"/agents/a/turns/{turn}/stream?after={cursor}")
        assert (answer.status_code, answer.content) == (204, b"")

    def test_a_cursor_from_nowhere_on_a_running_turn(self, service: Service) -> None:
        service.log.fill("a", 4)
        turn = service.log.begin_turn("a")
        with Peer(service, f"/agents/a/turns/{turn.id}/stream?after=77") as peer:
            peer.read_until(b"stream.reset")
            service.log.end_turn(turn)
            body = peer.read_to_end()
        assert b'{"reason":"unknown","cursor":77,' in body
        assert seqs_of(body) == [5, 6]

    def test_events_gone(self, service: Service) -> None:
        service.log.end_turn(service.log.begin_turn("a"))
        service.log.fill("a", 4)
        service.log.prune("a", 2)
        (turn,) = service.log.turns
        answer = get(service, f"/agents/a/turns/{turn}/stream")
        assert (answer.status_code, answer.json()["type"]) == (410, "events-gone")


class TestPassingCauses:
    """An EventSource that sees another status than 200 never comes back."""

    def test_draining(self, service: Service) -> None:
        service.log.fill("a", 3)
        with Peer(service, "/agents/a/stream") as peer:
            peer.read_until(last(3))
            service.drain()
            assert peer.read_to_end().endswith(b'event: stream.closing\ndata: {"reason":"draining"}\n\n')
        for path in ("/agents/a/stream", "/agents/a/turns/x/stream"):
            with Peer(service, path) as late:
                body = late.read_to_end()
                assert late.head.startswith(b"HTTP/1.1 200 ")
            assert re.fullmatch(rb'retry: [2-5]\d{3}\n\nevent: stream.closing\ndata: {"reason":"draining"}\n\n', body)
        assert not service.hub._watches

    def test_a_store_that_cannot_answer(self, service: Service) -> None:
        service.log.failure = Unavailable("not now")
        with Peer(service, "/agents/a/stream") as peer:
            assert peer.read_to_end().endswith(b'event: stream.closing\ndata: {"reason":"unavailable"}\n\n')


@pytest.mark.anyio
async def test_a_middleware_that_fails_behind_an_open_stream_leaves_nothing() -> None:
    log = Log()
    log.fill("a", 1)
    hub = Hub(reads=log, listen=log.listen)
    (route, _) = stream_routes(reads=log, hub=hub)

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await route.app({**scope, "path_params": {"name": "a"}}, receive, send)
        raise OSError("gone")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is followed")

    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
    with pytest.raises(OSError, match="gone"):
        await DirectSend(fails)(scope, receive, send)
    assert len(sent) == 2
    assert not hub._watches


class TestGone:
    def nothing_left(self, service: Service, tasks: int) -> None:
        eventually_sync(lambda: not service.hub._watches)
        eventually_sync(lambda: service.tasks() <= tasks)
        assert service.hub._rings.size == 0

    def test_a_client_that_leaves_while_live(self, service: Service) -> None:
        service.log.fill("a", 1)
        before = service.tasks()
        with Peer(service, "/agents/a/stream") as peer:
            peer.read_until(last(1))
        self.nothing_left(service, before)

    def test_a_client_that_leaves_in_the_middle_of_replay(self, service: Service) -> None:
        service.log.fill("a", 20_000, size=1000)
        before = service.tasks()
        with Peer(service, "/agents/a/stream", receive_buffer=4096) as peer:
            peer.read_until(last(5))
        self.nothing_left(service, before)

    def test_a_client_that_leaves_while_a_send_waits(self, service: Service) -> None:
        service.log.fill("a", 20_000, size=1000)
        before = service.tasks()
        with Peer(service, "/agents/a/stream", receive_buffer=4096):
            eventually_sync(lambda: _waiting(service))
        self.nothing_left(service, before)

    @pytest.mark.parametrize("handover", [True, False])
    def test_a_client_that_takes_nothing_is_cut(self, handover: bool) -> None:
        with served(patience=Patience(ping=3600, send=0.2), handover=handover) as service:
            service.log.fill("a", 20_000, size=1000)
            before = service.tasks()
            with Peer(service, "/agents/a/stream", receive_buffer=4096) as peer:
                self.nothing_left(service, before)
                body = peer.read_to_cut()
            got = seqs_of(body)
            assert got == run(1, len(got))
            assert len(got) < 20_000


def _waiting(service: Service) -> bool:
    readers = [reader for watch in tuple(service.hub._watches.values()) for reader in tuple(watch.readers)]
    return any("SENDING" in str(getattr(reader, "state", "")) for reader in readers)


def test_a_slow_reader_delays_nobody(service: Service) -> None:
    """It has 10 MB to read: more than the kernel's buffers take."""
    backlog = 10_000
    service.log.fill("a", backlog, size=1000)
    with ExitStack() as peers:
        slow = peers.enter_context(Peer(service, "/agents/a/stream", receive_buffer=4096))
        quick = [peers.enter_context(Peer(service, "/agents/a/stream?after=latest")) for _ in range(50)]
        eventually_sync(lambda: service.hub.streams == 51 and _waiting(service))
        for sent in range(backlog + 20, backlog + 500, 20):
            service.log.fill("a", 20)
            for peer in quick:
                peer.read_until(last(sent))
        assert all(seqs_of(peer.body) == run(backlog + 1, sent) for peer in quick)
        assert _waiting(service)
        assert buffered(service) <= 256 * 1024
        got = seqs_of(slow.read_until(last(2000)))
        assert got == run(1, len(got))


def test_a_client_that_keeps_up_is_written_to_past_send(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the server has changed what it shows of itself: all would work on, but for more."""
    sends: list[Message] = []
    original = RequestResponseCycle.send

    async def send(cycle: RequestResponseCycle, message: Any) -> None:
        sends.append(message)
        await original(cycle, message)

    monkeypatch.setattr(RequestResponseCycle, "send", send)
    service.log.fill("a", 1)
    with Peer(service, "/agents/a/stream") as peer:
        peer.read_until(last(1))
        opening = len(sends)
        for seq in range(2, 30):
            service.log.fill("a", 1, size=seq * 1000)
            peer.read_until(last(seq))
        service.log.fill("a", 1, size=3 * BATCH_BYTES)
        peer.read_until(last(30))
        assert len(sends) == opening + 4, "a large frame goes in pieces that wait for each other"
        assert seqs_of(peer.read_until(b"\n\n")) == run(1, 30)


def test_any_other_server_is_sent_to(service: Service) -> None:
    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent here")

    async def ask() -> bool:
        return Connection(send).write(b"x")

    assert asyncio.run(ask()) is False


def buffered(service: Service) -> int:
    """What the server holds for the client that is the furthest behind: its transport's buffer and the waiting send."""
    (watch,) = service.hub._watches.values()
    sizes = [0]
    for reader in tuple(watch.readers):
        transport = getattr(reader, "_connection")._transport  # noqa: B009
        sizes.append(transport.get_write_buffer_size())
    return max(sizes) + BATCH_BYTES


def test_what_is_committed_while_a_stream_is_opened_is_not_missed(service: Service) -> None:
    service.log.fill("a", 5)
    service.log.after_looking = lambda: service.log.fill("a", 1)
    with Peer(service, "/agents/a/stream?after=5") as peer:
        assert seqs_of(peer.read_until(last(6))) == [6]


def test_where_replay_becomes_live_there_is_no_seam(service: Service) -> None:
    """A writer at full speed while 200 streams begin at random cursors."""
    total, streams = 3000, 200
    service.log.fill("a", 100)
    rng = random.Random(7)

    def write() -> None:
        while service.log.latest("a") < total:
            service.log.fill("a", rng.choice([1, 1, 2, 20]))

    writer = threading.Thread(target=write)
    writer.start()
    peers: list[tuple[int, Peer]] = []
    for _ in range(streams):
        cursor = random.Random(len(peers)).randrange(service.log.latest("a"))
        peers.append((cursor, Peer(service, f"/agents/a/stream?after={cursor}")))
    writer.join()
    end = service.log.latest("a")
    for cursor, peer in peers:
        assert seqs_of(peer.read_until(last(end))) == run(cursor + 1, end)
        peer.close()


def test_a_thousand_streams_at_once(service: Service) -> None:
    service.log.fill("a", 0)
    peers = [Peer(service, "/agents/a/stream") for _ in range(1000)]
    try:
        eventually_sync(lambda: service.hub.streams == 1000, timeout=20)
        service.log.fill("a", 3)
        for peer in peers:
            assert seqs_of(peer.read_until(last(3))) == run(1, 3)
        service.drain()
        for peer in peers:
            assert peer.read_to_end().endswith(b'{"reason":"draining"}\n\n')
    finally:
        for peer in peers:
            peer.close()


class TestEvents:
    def test_pages(self, service: Service) -> None:
        service.log.fill("a", 250)
        cursor, seen = "", []
        while True:
            page = get(service, f"/agents/a/events?limit=100&after={cursor}").json()
            seen += [event["seq"] for event in page["items"]]
            if page["next"] is None:
                break
            cursor = page["next"]
        assert seen == run(1, 250)

    def test_the_same_object_as_on_the_stream(self, service: Service) -> None:
        service.log.fill("a", 1)
        (event,) = get(service, "/agents/a/events").json()["items"]
        with Peer(service, "/agents/a/stream") as peer:
            data = peer.read_until(last(1)).partition(b"data: ")[2]
        assert event == json.loads(data)

    def test_a_filter(self, service: Service) -> None:
        for _ in range(5):
            service.log.fill("a", 100)
            service.log.commit("a", (EventType.AGENT_PAUSED, None, b"{}"))
        page = get(service, "/agents/a/events?types=agent.paused&limit=3").json()
        assert ([event["seq"] for event in page["items"]], page["next"]) == ([101, 202, 303], 303)

    def test_large_events_make_short_pages(self, service: Service) -> None:
        service.log.fill("a", 20, size=200_000)
        page = get(service, "/agents/a/events").json()
        assert (len(page["items"]), page["next"]) == (6, 6)

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("after=latest", 400),
            ("after=-1", 400),
            ("limit=0", 422),
            ("limit=1001", 422),
            ("tail=1", 422),
            ("types=x", 422),
        ],
    )
    def test_bad_queries(self, service: Service, query: str, status: int) -> None:
        service.log.fill("a", 1)
        assert get(service, f"/agents/a/events?{query}").status_code == status

    def test_unknown_agent(self, service: Service) -> None:
        assert get(service, "/agents/b/events").status_code == 404
