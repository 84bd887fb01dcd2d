"""What comes whole leaves in one write; everything else is as uvicorn does it, and what is wrong is refused by it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pygents_app.api.wire import Wire, wired
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    @property
    def said(self) -> bytes:
        return b"".join(self.writes)


Serve = Callable[[ASGIApp], tuple[HttpToolsProtocol, Transport]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A connection of uvicorn's to an application behind the wire."""
    made: list[HttpToolsProtocol] = []

    def connect(app: ASGIApp) -> tuple[HttpToolsProtocol, Transport]:
        async def behind(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, wired(send))

        config = uvicorn.Config(behind, log_config=None, lifespan="off", timeout_keep_alive=3600)
        config.load()
        protocol, transport = HttpToolsProtocol(config, ServerState(), {}), Transport()
        protocol.connection_made(transport)
        made.append(protocol)
        return protocol, transport

    yield connect
    for protocol in made:
        protocol.connection_lost(None)
        for task in protocol.tasks:  # a test that has failed may have left one waiting
            task.cancel()
        await asyncio.gather(*protocol.tasks, return_exceptions=True)


def answering(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


TWO = start((b"content-length", b"2"))


async def test_one_write(serve: Serve) -> None:
    protocol, transport = serve(answering(TWO, body(b"ok")))
    protocol.data_received(GET)
    await eventually(lambda: bool(transport.writes))
    assert transport.writes == [HEAD + b"ok"]
    protocol.data_received(GET)  # the connection lives on
    await eventually(lambda: len(transport.writes) == 2)
    assert transport.said == (HEAD + b"ok") * 2
    assert not transport.closed


@pytest.mark.parametrize("default", [[], [(b"date", b"Mon, 30 Nov 2026 12:00:00 GMT")]])
async def test_bytes_are_those_of_uvicorn(serve: Serve, default: list[tuple[bytes, bytes]]) -> None:
    headers = ((b"content-length", b"5"), (b"content-type", b"text/plain"), (b"x-odd", b"\t a\xe9 "), (b"x-empty", b""))
    app = answering(start(*headers, status=404), body(b"hello"))
    protocol, transport = serve(app)
    protocol.server_state.default_headers += default
    protocol.data_received(GET)
    plain = HttpToolsProtocol(protocol.config, protocol.server_state, {})
    plain.app = app
    other = Transport()
    plain.connection_made(other)
    plain.data_received(GET)
    await eventually(lambda: bool(transport.writes) and len(other.writes) == 2)
    assert transport.writes == [other.said]
    plain.connection_lost(None)


async def test_no_body_is_whole_too(serve: Serve) -> None:
    protocol, transport = serve(answering(start((b"content-length", b"0")), {"type": "http.response.body"}))
    protocol.data_received(GET)
    await eventually(lambda: bool(transport.writes))
    assert transport.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]


async def test_pieces_and_streams_go_at_once(serve: Serve) -> None:
    protocol, transport = serve(answering(TWO, body(b"o", more=True), body(b"k")))
    protocol.data_received(GET)
    await eventually(lambda: transport.said == HEAD + b"ok")
    protocol, transport = serve(answering(start(), body(b"ok", more=True), body(b"")))
    protocol.data_received(GET)
    await eventually(lambda: transport.said.endswith(b"\r\n0\r\n\r\n"))
    assert transport.said == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


async def test_a_body_that_is_not_at_its_end_is_not_ended(serve: Serve) -> None:
    """Though it is as long as it was said to be: the last piece is empty."""
    waits, goes_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(TWO)
        await send(body(b"ok", more=True))
        waits.set()
        await goes_on.wait()
        await send(body(b""))

    protocol, transport = serve(app)
    protocol.data_received(GET)
    await waits.wait()
    assert not protocol.cycle.response_complete
    goes_on.set()
    await eventually(lambda: protocol.cycle.response_complete)
    assert transport.said == HEAD + b"ok"


async def test_whoever_waits_for_the_client_hears_of_the_end(serve: Serve) -> None:
    """ASGI: after the last piece of an answer ``receive`` tells of a disconnect."""
    heard: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send(TWO)
        await send(body(b"ok"))
        heard.append(await waiting)

    protocol, _ = serve(app)
    protocol.data_received(GET)
    await eventually(lambda: bool(heard))
    assert heard == [{"type": "http.disconnect"}]


async def test_no_continue_after_the_answer(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(TWO)
        await send(body(b"ok"))
        await receive()

    protocol, transport = serve(app)
    protocol.data_received(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
    await eventually(lambda: not protocol.tasks)
    assert transport.said == HEAD + b"ok"


async def test_clients_that_leave_in_the_middle_are_no_error(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn tells only the newest call of a connection that it is gone; the others find the transport closed."""

    def refuse(self: Transport, data: Any) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    protocol, transport = serve(answering(TWO, body(b"ok")))
    protocol.data_received(GET * 3)
    monkeypatch.setattr(Transport, "write", refuse)
    transport.closed = True
    await eventually(lambda: not protocol.tasks)
    assert not caplog.records


async def test_the_head_of_a_stream_does_not_wait(serve: Serve) -> None:
    opened = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await opened.wait()
        await send(body(b""))

    protocol, transport = serve(app)
    protocol.data_received(GET)
    await eventually(lambda: transport.said.startswith(b"HTTP/1.1 200 OK\r\n"))
    opened.set()


@pytest.mark.parametrize(
    ("request_", "tail"),
    [
        (b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"ok"),
        (b"GET / HTTP/1.0\r\nhost: x\r\n\r\n", b"ok"),
    ],
    ids=["HEAD", "last answer", "HTTP/1.0"],
)
async def test_what_uvicorn_does_otherwise(serve: Serve, request_: bytes, tail: bytes) -> None:
    protocol, transport = serve(answering(TWO, body(b"ok")))
    protocol.data_received(request_)
    await eventually(lambda: protocol.cycle.response_complete)
    assert transport.said.endswith(b"\r\n\r\n" + tail)
    assert transport.closed is (tail == b"ok")


async def test_an_application_may_close(serve: Serve) -> None:
    protocol, transport = serve(answering(start((b"content-length", b"2"), (b"connection", b"close")), body(b"ok")))
    protocol.data_received(GET)
    await eventually(lambda: transport.closed)
    assert transport.said.endswith(b"ok")


async def test_pipelined_requests_are_answered_in_their_order(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"2")))
        await send(body(scope["path"][1:].encode()))

    protocol, transport = serve(app)
    protocol.data_received(b"".join(b"GET /%02d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(20)))
    await eventually(lambda: len(transport.writes) == 20)
    assert [write[-2:] for write in transport.writes] == [b"%02d" % number for number in range(20)]


async def test_a_client_that_does_not_read_is_waited_for(serve: Serve) -> None:
    protocol, transport = serve(answering(TWO, body(b"ok")))
    protocol.pause_writing()
    protocol.data_received(GET)
    await eventually(lambda: len(protocol.tasks) == 1)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not transport.writes
    protocol.resume_writing()
    await eventually(lambda: transport.said == HEAD + b"ok")


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x", b"a\nb"),
        (b"x", b"a\0b"),
        (b"x\r\ny", b"a"),
        (b"x y", b"a"),
        (b"x:", b"a"),
    ],
)
async def test_no_header_can_break_the_head(serve: Serve, header: tuple[bytes, bytes]) -> None:
    protocol, transport = serve(answering(start((b"content-length", b"2"), header), body(b"ok")))
    protocol.data_received(GET)
    await eventually(lambda: transport.closed or protocol.cycle.response_complete)
    assert b"cookie" not in transport.said
    assert b"200 OK" not in transport.said


@pytest.mark.parametrize("content", [b"", b"o", b"okk"])
async def test_a_body_of_another_length_is_refused(serve: Serve, content: bytes) -> None:
    protocol, transport = serve(answering(TWO, body(content)))
    protocol.data_received(GET)
    await eventually(lambda: transport.closed)
    assert not transport.said.endswith(b"ok")


async def test_an_error_before_the_body_is_still_answered(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(TWO)
        raise LookupError("in the middle")

    protocol, transport = serve(app)
    protocol.data_received(GET)
    await eventually(lambda: b"Internal Server Error" in transport.said)
    assert transport.said.startswith(b"HTTP/1.1 500 ")


async def test_another_server_keeps_its_own() -> None:
    async def send(message: Message) -> None: ...

    assert wired(send) is send
    assert not isinstance(getattr(send, "__self__", None), Wire)
