"""The API on a real uvicorn in a thread, over a store in memory; nothing executes turns but the test."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import httpx
import uvicorn
import uvloop
from fastapi import FastAPI
from msgspec.structs import replace

from pygents_app.access.commands import audited
from pygents_app.access.records import Entry
from pygents_app.api.install import Application, install
from pygents_app.api.services import Services
from pygents_app.auth import Gate
from pygents_app.clock import new_id, system_clock
from pygents_app.commands import (
    AgentReply,
    Cancel,
    Cancelled,
    Cascade,
    Claim,
    CreateAgent,
    Enqueue,
    Enqueued,
    Finish,
    Pause,
    Release,
    Starter,
)
from pygents_app.errors import Draining, TurnNotEnded, TurnNotFound
from pygents_app.metrics.counting import Counting
from pygents_app.metrics.exposition import Exposition
from pygents_app.metrics.looking import Figures
from pygents_app.model import Asker, CancelRequest, Definition, Fence, KeyRecord, Outcome, TurnSpec
from pygents_app.ports import Store
from pygents_app.rates import Rates
from pygents_app.runtime.administration import Administration
from pygents_app.runtime.keys import Keys
from pygents_app.runtime.requests import TurnRequest
from pygents_app.runtime.sessions import Sessions
from pygents_app.runtime.tickets import Tickets
from pygents_app.runtime.translation import repeated
from pygents_app.settings import Settings
from pygents_app.store.opening import open_store
from pygents_app.streaming.hub import Hub
from pygents_app.streaming.places import Places
from pygents_core.tool import Tool
from tests.conformance.checker import answer_of, conformance

# libuv opens a pipe for signals with a process's first loop and never closes it: no leak of the test that is first.
uvloop.new_event_loop().close()

Answer = TypeVar("Answer")
MAILBOX_LIMIT = 20
NODE = "node-of-the-tests"
TLS = ssl.create_default_context()
"""Not used, but httpx would make one for each request, and that is slow."""


async def echo(text: str = "") -> str:
    """Say it again."""
    return text


ECHO = Tool(echo)
"""Not registered: other tests have tools of their own."""
TOOLS: Mapping[str, Tool] = {"echo": ECHO}


@dataclass
class FakeSubmission:
    """Enqueues what passes one check: the tool is known."""

    store: Store
    draining: bool = False

    async def submit(
        self,
        agent: str,
        requests: Sequence[TurnRequest],
        *,
        caller: str = "",
        key: str | None = None,
        digest: bytes = b"",
        batch: bool = False,
        asker: Asker | None = None,
    ) -> Enqueued:
        if self.draining:
            raise Draining("The service is shutting down.", headers={"Retry-After": "2"})
        if requests[0].tool == "explode":
            raise RuntimeError("secret of /etc/passwd")
        specs = tuple(replace(_spec(agent, request), asker=asker) for request in requests)
        record = KeyRecord(agent, caller, key, digest, tuple(spec.id for spec in specs)) if key is not None else None
        return await self.store.execute(Enqueue(agent, specs, MAILBOX_LIMIT, record=record, batch=batch))

    async def retry(
        self, agent: str, turn_id: str, *, caller: str = "", key: str | None = None, asker: Asker | None = None
    ) -> Enqueued:
        placed = await self.store.get_turn(turn_id, agent)
        if placed is None:
            raise TurnNotFound("There is no such turn.")
        if not placed.turn.ended:
            raise TurnNotEnded("The turn has not ended.")
        again = [repeated(placed.turn.spec)]
        return await self.submit(agent, again, caller=caller, key=key, digest=turn_id.encode(), asker=asker)

    async def cancel(
        self,
        agent: str,
        turn_id: str,
        *,
        by: str,
        reason: str | None,
        cascade: Cascade | None = None,
        entry: Entry | None = None,
    ) -> Cancelled:
        return await self.store.execute(audited(Cancel(agent, turn_id, CancelRequest(by, reason)), entry))


@dataclass
class FakeCatalogue:
    def tools(self) -> Mapping[str, Tool]:
        return TOOLS


@dataclass
class FakeDispatcher:
    draining: bool = False
    troubled: dict[str, Literal["blocked", "stuck"]] = field(default_factory=dict)
    exhausted: bool = False
    locked: set[str] = field(default_factory=set)

    def trouble(self, agent: str) -> Literal["blocked", "stuck"] | None:
        return self.troubled.get(agent)

    def waits_for_lock(self, turn_id: str) -> bool:
        return turn_id in self.locked


@dataclass
class Served:
    """A running service, from a test's thread."""

    app: Application
    store: Store
    submission: FakeSubmission
    dispatcher: FakeDispatcher
    loop: asyncio.AbstractEventLoop
    port: int
    services: Services

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer, which must be one that the OpenAPI document describes, whatever the test is about."""
        answer = httpx.request(method, self.url + path, trust_env=False, verify=TLS, **options)
        conformance().check(answer_of(answer))
        return answer

    def get(self, path: str, **options: Any) -> Any:
        answer = self.call("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, agent: str, body: Mapping[str, Any] | None = None, **options: Any) -> Any:
        answer = self.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"} | dict(body or {}), **options)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def create(self, *tools: str, **definition: Any) -> str:
        """An agent of its own for each test; its name."""
        name = f"a{new_id()}"
        self.do(self._create(Definition(name, tools=tools or ("echo",), **definition)))
        return name

    def create_named(self, name: str) -> None:
        self.do(self._create(Definition(name, tools=("echo",))))

    def begin(self, agent: str) -> Fence:
        return self.do(self._begin(agent))

    def finish(self, agent: str, turn_id: str, fence: Fence, outcome: Outcome, *, hold: bool = False) -> None:
        self.execute(Finish(agent, turn_id, fence, outcome, hold=hold))

    def execute(self, command: Finish | Release | Pause) -> None:
        self.do(self._execute(command))

    def do(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def raw(self, request: bytes) -> bytes:
        """What the server answers to exactly these bytes, up to its closing of the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            return read_all(connection)

    async def _create(self, definition: Definition) -> AgentReply:
        return await self.store.execute(CreateAgent(definition))

    async def _begin(self, agent: str) -> Fence:
        claimed = await self.store.execute(Claim(agent, Starter(NODE, frozenset(TOOLS))))
        assert claimed.begun is not None
        return claimed.begun.fence

    async def _execute(self, command: Finish | Release | Pause) -> None:
        await self.store.execute(command)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


@contextmanager
def serving(settings: Settings) -> Iterator[Served]:
    """Serve until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        built: list[Served] = []
        servers: list[uvicorn.Server] = []

        async def main() -> None:
            served = _build(settings, asyncio.get_running_loop(), listener.getsockname()[1])
            config = uvicorn.Config(
                served.app, log_config=None, access_log=False, lifespan="on", ws="none", proxy_headers=False
            )
            servers.append(uvicorn.Server(config))
            built.append(served)
            await servers[0].serve(sockets=[listener])

        thread = threading.Thread(target=uvloop.run, args=(main(),), name="server")
        thread.start()
        try:
            _wait_until_it_answers(listener.getsockname()[1])
            yield built[0]
        finally:
            servers[0].should_exit = True
            thread.join(10)


def _wait_until_it_answers(port: int) -> None:
    """Connections wait in the listening socket, so one request is enough."""
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, verify=TLS, timeout=10).status_code == 200


def _build(settings: Settings, loop: asyncio.AbstractEventLoop, port: int) -> Served:
    store = open_store("memory://")
    gate = Gate(admin_key=settings.admin_key.get_secret_value() if settings.admin_key is not None else None)
    own = lambda caller: gate.limits(caller).streams  # noqa: E731
    places = Places(most=settings.max_streams, each=settings.max_caller_streams, own=own)
    hub = Hub(reads=store, listen=store.listen, places=places)
    submission, dispatcher = FakeSubmission(store), FakeDispatcher()
    administration = Administration(
        store=store, catalogue=FakeCatalogue(), starting=lambda: nullcontext(None), code_agents=frozenset()
    )

    sessions = Sessions(store=store, gate=gate, end_streams=hub.end)
    keys = Keys(store=store, gate=gate, end_streams=sessions.end_streams)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.start(asyncio.get_running_loop())
        yield
        keys.stop()
        sessions.stop()
        await hub.close()
        await store.close()

    app = Application(lifespan=lifespan)
    services = Services(
        store=store, hub=hub, submission=submission, administration=administration, catalogue=FakeCatalogue(),
        dispatcher=dispatcher, settings=settings, metrics=_metrics(store), node=NODE, engine="memory", gate=gate,
        keys=keys, sessions=sessions, tickets=Tickets(store=store, gate=sessions),
        rates=Rates(rate=settings.rate, burst=settings.rate_burst, wrong_keys=settings.wrong_keys),
    )  # fmt: skip
    install(app, services)
    return Served(app, store, submission, dispatcher, loop, port, services)


def _metrics(store: Store) -> Exposition:
    still = Figures(running=0, streams=0, behind=0, blocked=0, exhausted=False, draining=False, pending=0)
    return Exposition(
        counting=Counting(), figures=lambda: still, measure=store.measure, clock=system_clock, info={"version": "0"}
    )


def _spec(agent: str, request: TurnRequest) -> TurnSpec:
    return TurnSpec(
        id=new_id(), agent=agent, tool=request.tool, args=_encode(request.args), kwargs=_encode(request.kwargs),
        metadata=_encode(dict(request.metadata)), timeout=request.timeout, not_before=request.not_before,
        retry=request.retry, retry_of=request.retry_of,
    )  # fmt: skip


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
