"""The stream routes on a real uvicorn in a thread, and clients that are plain sockets."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pygents_app.api.events import event_routes
from pygents_app.api.handover import DirectSend
from pygents_app.api.streams import stream_routes
from pygents_app.errors import ServiceError
from pygents_app.streaming.hub import Hub
from pygents_app.streaming.subscription import PATIENCE, Patience
from tests.app.streaming.fakes import Log

# libuv opens a pipe for signals with a process's first loop and never closes it: no leak of the test that is first.
uvloop.new_event_loop().close()

CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


@dataclass
class Service:
    """A served log. The hub belongs to the server's loop; other threads only look at it."""

    log: Log
    hub: Hub
    loop: asyncio.AbstractEventLoop
    address: tuple[str, int]

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def drain(self) -> None:
        asyncio.run_coroutine_threadsafe(self.hub.drain(), self.loop).result(10)

    def tasks(self) -> int:
        async def count() -> int:
            return len(asyncio.all_tasks())

        return asyncio.run_coroutine_threadsafe(count(), self.loop).result(10)


class Peer:
    """A raw client: says exactly what it is told to, and can stop reading."""

    def __init__(self, service: Service, path: str, *, headers: str = "", receive_buffer: int | None = None) -> None:
        self.head = b""
        self.body = b""
        self.ended = False
        self._rest = b""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.connect(service.address)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())

    def read_until(self, ending: bytes) -> bytes:
        """Read until ``ending`` is in the body; the body so far."""
        while ending not in self.body and self._more():
            pass
        assert ending in self.body, (self.head, self.body[-300:])
        return self.body

    def read_to_end(self) -> bytes:
        """Read to the last chunk; fails if the connection ends without it."""
        while not self.ended:
            assert self._more(), f"cut after {self.head!r} {self.body[-300:]!r}"
        return self.body

    def read_to_cut(self) -> bytes:
        """Read until the connection is gone."""
        with suppress(ConnectionError):
            while self._more():
                pass
        return self.body

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _more(self) -> bool:
        received = self.socket.recv(1 << 20)
        self._rest += received
        if not self.head:
            self.head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        self._unchunk()
        return bool(received)

    def _unchunk(self) -> None:
        """Move whole chunks from what was received into the body."""
        position, pieces = 0, [self.body]
        while size := CHUNK.match(self._rest, position):
            end = size.end() + int(size[1], 16)
            if len(self._rest) < end + 2:
                break
            pieces.append(self._rest[size.end() : end])
            self.ended = end == size.end()
            position = end + 2
        self.body, self._rest = b"".join(pieces), self._rest[position:]


@contextmanager
def served(*, patience: Patience = PATIENCE, handover: bool = True) -> Iterator[Service]:
    """Serve an empty log, until the block ends. Without ``handover``, streams stay within the framework."""
    log = Log()
    hub = Hub(reads=log, listen=log.listen, patience=patience)
    app = Starlette(
        routes=[*stream_routes(reads=log, hub=hub), *event_routes(reads=log)],
        exception_handlers={ServiceError: _problem},
    )
    config = uvicorn.Config(
        DirectSend(app) if handover else app, lifespan="off", log_level="critical", access_log=False
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    ready: list[asyncio.AbstractEventLoop] = []
    started = threading.Event()

    async def serve() -> None:
        hub.start(asyncio.get_running_loop())
        ready.append(asyncio.get_running_loop())
        started.set()
        await server.serve(sockets=[listener])
        await hub.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="server")
    thread.start()
    assert started.wait(10)
    service = Service(log, hub, ready[0], listener.getsockname())
    try:
        yield service
    finally:
        service.drain()
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return JSONResponse({"type": error.type, "detail": error.detail, **error.fields}, error.status)
