"""The HTTP server: uvicorn, with a shutdown that keeps the service's promises."""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from .errors import ServiceError, StartupError, StoreFull, Unavailable
from .logs.stderr import log_to_stderr
from .main import Service
from .protocol import BoundedProtocol, Waits
from .settings import Settings

IDLE_SECONDS = 5
"""How long a connection is kept between two requests. Proxies must let go of theirs sooner, or a request is lost."""
PYTHONS_SWITCH_SECONDS, SWITCH_SECONDS = 0.005, 0.001


class Server(uvicorn.Server):
    """On the first SIGTERM or SIGINT the service drains while HTTP still answers; only then does uvicorn exit.

    uvicorn alone closes its listeners at once and then waits for open streams for ever. A second signal ends the
    process at once, as ``kill -9`` would: nothing acknowledged is lost by that.
    """

    def __init__(self, config: uvicorn.Config, *, service: Service, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._on_ready = service, on_ready
        self._draining: Future[None] | None = None
        self.failure: StartupError | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """The service first: what keeps it from starting is told in one line, where uvicorn would show a traceback."""
        try:
            await self._service.start()
        except ServiceError as error:
            passes = isinstance(error, StoreFull | Unavailable)
            self.failure = StartupError(f"The service cannot start: {error.detail}", passes=passes)
            self.should_exit = True
            await self._service.close()
            return
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        settle_memory()
        if not self.should_exit:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is not None or not self.started:
            os._exit(128 + sig)
        self._draining = asyncio.run_coroutine_threadsafe(self._leave(sig, frame), self._loop)

    async def _leave(self, sig: int, frame: FrameType | None) -> None:
        try:
            await self._service.drain()
        finally:
            super().handle_exit(sig, frame)


def share_interpreter() -> None:
    """Let the threads take turns more often than Python does by itself, unless the user's code has set an interval.

    A submit passes the interpreter from thread to thread some twenty times. Beside a tool that computes, each time
    takes a whole interval: with Python's 5 ms a submit takes 120 ms, with 1 ms 13. Without such a tool 1 ms costs a few
    percent at most (``tests/bench/loops.py``).
    """
    if sys.getswitchinterval() == PYTHONS_SWITCH_SECONDS:
        sys.setswitchinterval(SWITCH_SECONDS)


def settle_memory() -> None:
    """Let the garbage collector look no more at what is there at the start: it will be till the end.

    How often it looks stays as it is. Tools make cycles, and what hangs on one may be large: an exception that is kept
    in a variable is enough.
    """
    gc.collect()
    gc.freeze()


def serve(
    app: FastAPI, settings: Settings, *, sockets: Sequence[socket.socket], on_ready: Callable[[], None] = lambda: None
) -> None:
    """Serve ``app`` on sockets that are bound already, until a signal; ``on_ready`` is called once it answers.

    Raises ``StartupError`` if the service cannot start.
    """
    log_to_stderr(settings.log, settings.log_format)
    share_interpreter()
    service: Service = app.state.service
    config = uvicorn.Config(
        app,
        http=partial(
            BoundedProtocol, waits=Waits(settings.head_timeout, settings.body_timeout), emit=service.services.emit
        ),  # type: ignore[arg-type]
        timeout_keep_alive=IDLE_SECONDS,
        log_config=None,  # uvicorn's lines go where ours go, in the same form
        log_level=settings.log,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        lifespan="on",
        ws="none",
    )
    server = Server(config, service=service, on_ready=on_ready)
    server.run(sockets=list(sockets))
    if server.failure is not None:
        raise server.failure
