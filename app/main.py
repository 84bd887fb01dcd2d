"""The composition root: the only place that constructs the parts of the service and knows the order of their lives."""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI

from pygents_core.agent import Agent, AgentRegistry

from . import failpoints
from .api.install import Application, install
from .api.services import Services
from .auth import Gate
from .clock import new_id, system_clock
from .commands import CreateAgent, Starter
from .metrics.counting import Counting
from .metrics.exposition import Exposition
from .metrics.looking import Figures
from .model import Definition
from .ports import Store
from .rates import Rates
from .runtime.administration import Administration
from .runtime.capacity import Capacity
from .runtime.catalogue import Catalogue
from .runtime.charging import Charging
from .runtime.damages import Damages
from .runtime.directory import Directory
from .runtime.dispatcher import Dispatcher
from .runtime.encoding import Limits
from .runtime.equipment import Equipment
from .runtime.executor import Executor
from .runtime.keys import Keys
from .runtime.mailbox import DurableMailbox
from .runtime.pruner import Pruner, Retention
from .runtime.put_hooks import PutHooks
from .runtime.roster import Roster
from .runtime.sessions import Sessions
from .runtime.submission import Submission
from .runtime.tickets import Tickets
from .runtime.watchdog import Watchdog
from .runtime.worker import Worker
from .runtime.workers import Workers
from .settings import Settings, no_key, no_verifier
from .store.opening import doubt_of_folder, open_store
from .streaming.hub import Hub
from .streaming.places import Places
from .streaming.subscription import Patience
from .telemetry import Emit, Telemetry
from .tracing.port import nothing_carried
from .tracing.switch import open_tracing

if TYPE_CHECKING:
    from .tokens.admission import Tokens

MOST_EXPECTED = 1000
"""Agents whose turns' counters are there from the start, at 0. Those of all others are there once they begin a turn."""
log = logging.getLogger("pygents")

STOP_SECONDS = 2.0
"""After the drain, code that was told to stop has this long before its turns are ended without it."""


class Service:
    """One node. Its parts are ``services``; its life is ``start``, ``drain``, ``close``.

    Serves the tools and agents that are registered when it is made. Raises ``StartupError`` for an agent whose name is
    not allowed and for a store that cannot be used.
    """

    def __init__(self, settings: Settings, agents: Sequence[Agent]) -> None:
        node, catalogue, damages = new_id(), Catalogue(), Damages()
        tracing = open_tracing(os.environ, node=node)
        roster = Roster(agents, catalogue=catalogue, hook_timeout=settings.hook_timeout)
        self._tokens = tokens = _tokens(settings)  # which may refuse: before the store is open
        emit, counting = _counted()
        store: Store = open_store(settings.store, durability=settings.durability, emit=emit)
        store.listen(counting.hear)
        self._counting = counting
        starter = Starter(node, catalogue.lockless, roster.names)
        capacity = Capacity(starter=starter, concurrency=settings.concurrency)
        workers = Workers(make=lambda name: Worker(name=name))
        submission = Submission(
            store=store, catalogue=catalogue, starting=capacity.starting, accepts=capacity.accepts,
            guard=PutHooks(roster=roster, workers=workers, hook_timeout=settings.hook_timeout),
            code_agents=roster.names, mailbox_limit=settings.mailbox_limit, max_hops=settings.max_hops,
            carried=tracing.carried if tracing is not None else nothing_carried,
        )  # fmt: skip
        administration = Administration(
            store=store, catalogue=catalogue, starting=capacity.starting, code_agents=roster.names
        )
        roster.connect(partial(DurableMailbox, submission=submission, clock=system_clock, tracing=tracing))
        equipment = Equipment(store, roster, submission, capacity, _limits(settings), emit, tracing)
        executor = Executor(workers=workers, equipment=equipment, capacity=capacity, tools=catalogue.tools().values())
        dispatcher = Dispatcher(
            store=store, catalogue=catalogue, capacity=capacity, executor=executor, damages=damages,
            clock=system_clock, max_crashes=settings.max_crashes,
        )  # fmt: skip
        patience, gate = Patience(ping=settings.ping), _gate(settings, tokens)
        hub = Hub(reads=store, listen=store.listen, patience=patience, places=_places(settings, gate), emit=emit)
        rates = Rates(rate=settings.rate, burst=settings.rate_burst, wrong_keys=settings.wrong_keys)
        self._charging = Charging(rates=rates, limits=gate.limits, listen=store.listen)
        self._sessions = Sessions(store=store, gate=gate, end_streams=hub.end)
        self._keys = Keys(store=store, gate=gate, end_streams=self._sessions.end_streams)
        self._tickets = Tickets(store=store, gate=self._sessions)
        self._settings, self._roster, self._store, self._started = settings, roster, store, False
        self._tracing = tracing
        self._hub, self._dispatcher, self._damages = hub, dispatcher, damages
        self._pruner = Pruner(store=store, clock=system_clock, retention=_retention(settings), damages=damages)
        self._directory = Directory(reads=store, roster=roster)
        self._watchdog = Watchdog(workers=workers, executor=executor, clock=system_clock, emit=emit)
        self.services = Services(
            store=store, hub=hub, submission=submission, administration=administration, gate=gate, keys=self._keys,
            tokens=tokens, sessions=self._sessions,
            tickets=self._tickets, catalogue=catalogue, dispatcher=dispatcher, settings=settings, node=node,
            engine=_engine(settings.store), code_agents=roster.names, emit=emit,
            metrics=self._metrics(counting, _info(settings)), rates=rates, tracing=tracing,
        )  # fmt: skip

    def _metrics(self, counting: Counting, info: Mapping[str, str]) -> Exposition:
        measure = self._store.measure
        return Exposition(counting=counting, figures=self._figures, measure=measure, clock=system_clock, info=info)

    def _figures(self) -> Figures:
        hub, dispatcher = self._hub, self._dispatcher
        return Figures(
            running=dispatcher.running(),
            streams=hub.streams,
            behind=hub.behind,
            blocked=len(dispatcher.blocks()),
            exhausted=dispatcher.exhausted,
            draining=dispatcher.draining,
            pending=self._store.pending_seconds(),
        )

    async def start(self) -> None:
        """Store the agents of the code, recover what a former process left, take up what waits. Once is enough.

        Raises ``ServiceError`` if the store refuses, ``StartupError`` if others could come in without a key.
        """
        if self._started:
            return
        self._started = True
        loop = asyncio.get_running_loop()
        if (doubt := doubt_of_folder(self._settings.store)) is not None:
            log.warning("%s", doubt)
        await self._keys.start()
        await self._sessions.start()
        self._check_closed()
        await self._tickets.start()
        if self._tokens is not None:
            self._tokens.start()
        self._hub.start(loop)
        self._charging.start(loop)
        await asyncio.gather(*(self._seed(each) for each in self._roster.definitions()))
        self._directory.start(loop)
        AgentRegistry.resolver = self._directory.find
        await self._dispatcher.start()
        self._watchdog.start()
        self._pruner.start()
        for agent in (await self._store.list_agents(limit=MOST_EXPECTED)).items:
            self._counting.expect(agent.head.definition.labels)

    def _check_closed(self) -> None:
        """Open only on purpose. Asked here and not of the settings alone, because keys of the store count."""
        if self._settings.needs_key and self.services.gate.open:
            raise no_key(self._settings.host)

    async def _seed(self, definition: Definition) -> None:
        with self._damages.outlived(definition.name):
            await self._store.execute(CreateAgent(definition))

    async def drain(self) -> None:
        """Begin no turn and take none; end the streams; let running turns finish for the time that is set."""
        await asyncio.gather(self._hub.drain(), self._dispatcher.drain(self._settings.drain, STOP_SECONDS))

    async def close(self) -> None:
        """Stop all code and commit what was handed over. Safe without ``start`` and without ``drain``."""
        AgentRegistry.resolver = None
        self._keys.stop()
        self._charging.stop()
        self._sessions.stop()
        if self._tokens is not None:
            await self._tokens.stop()
        await self._pruner.stop()
        if not self._dispatcher.draining:
            await self._dispatcher.drain(0, STOP_SECONDS)
        await self._watchdog.stop()
        await self._dispatcher.close()
        await self._hub.close()
        await self._store.close()
        if self._tracing is not None:
            await self._tracing.close()


def _gate(settings: Settings, tokens: "Tokens | None") -> Gate:
    admin_key = settings.admin_key.get_secret_value() if settings.admin_key is not None else None
    return Gate(admin_key=admin_key, visitors=tokens)


def _tokens(settings: Settings) -> "Tokens | None":
    """What lets callers in by an issuer's tokens, if one is set. Only then is any of it imported."""
    if settings.jwt_issuer is None or settings.jwt_audience is None:
        return None
    try:
        from .tokens.admission import Tokens  # noqa: PLC0415
        from .tokens.fetching import Fetcher  # noqa: PLC0415
        from .tokens.keyring import Keyring  # noqa: PLC0415
        from .tokens.trust import Trust  # noqa: PLC0415
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in {"jwt", "cryptography"}:
            raise
        raise no_verifier() from None
    fetcher = Fetcher(issuer=settings.jwt_issuer, jwks_url=settings.jwt_jwks_url)
    trust = Trust(settings.jwt_issuer, settings.jwt_audience, settings.jwt_scope_claim)
    return Tokens(trust=trust, keyring=Keyring(fetch=fetcher.fetch))


def _places(settings: Settings, gate: Gate) -> Places:
    return Places(
        most=settings.max_streams, each=settings.max_caller_streams, own=lambda caller: gate.limits(caller).streams
    )


def _limits(settings: Settings) -> Limits:
    return Limits(cancel_grace=settings.cancel_grace, mailbox=settings.mailbox_limit)


def _retention(settings: Settings) -> Retention:
    return Retention(settings.retention_events, settings.retention_age)


def _engine(store: str) -> str:
    return f"SQLite {sqlite3.sqlite_version}" if store.startswith("sqlite") else "memory"


def _counted() -> tuple[Emit, Counting]:
    """Where the parts tell what happens, and what counts it."""
    telemetry, counting = Telemetry(), Counting()
    counting.listen(telemetry)
    return telemetry.emit, counting


def _info(settings: Settings) -> dict[str, str]:
    return {
        "version": version("pygents"), "engine": _engine(settings.store), "durability": settings.durability,
    }  # fmt: skip


def create_app(settings: Settings, agents: Sequence[Agent] | None = None) -> FastAPI:
    """The ASGI application; ``agents`` are those of the code (None: all that are registered).

    The store is open from here on, until the application's lifespan ends. Raises ``StartupError``.
    """
    failpoints.arm()
    service = Service(settings, AgentRegistry.all() if agents is None else agents)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await service.start()
            yield
        finally:
            await service.close()

    app = Application(lifespan=lifespan)
    install(app, service.services)
    app.state.service = service
    return app
