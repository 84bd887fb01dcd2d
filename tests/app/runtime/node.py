"""One node in this process, without HTTP, over a store in memory that a test can make refuse commands."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal
from unittest.mock import patch

import uvloop

from pygents_app.clock import new_id
from pygents_app.commands import Command, CreateAgent, Enqueue
from pygents_app.main import Service
from pygents_app.model import Definition, Turn, TurnSpec
from pygents_app.runtime.requests import TurnRequest
from pygents_app.settings import Settings
from pygents_app.store.local import LocalStore
from pygents_app.store.opening import open_store
from pygents_core.agent import Agent
from tests.helpers import eventually

# libuv opens a pipe for signals with the first loop of a process and never closes it: no leak of the first test.
uvloop.new_event_loop().close()


class FlawedStore:
    """A store in memory. ``refuse`` says of each command with which error it fails; None: it is done."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.refuse: Callable[[Command], Exception | None] = lambda command: None
        self._inner: LocalStore = open_store("memory://")
        self._replaced: list[LocalStore] = []

    def execute(self, command: Command) -> "asyncio.Future[Any]":
        self.commands.append(command)
        error = self.refuse(command)
        if error is None:
            return self._inner.execute(command)
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(error)
        return refused

    def replace(self, inner: LocalStore) -> None:
        """Be this store instead."""
        self._replaced.append(self._inner)
        self._inner = inner

    async def close(self) -> None:
        for store in (self._inner, *self._replaced):
            await store.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def fill(self, agents: Iterable[str], tool: str, source: Literal["code", "api"] = "api") -> dict[str, str]:
        """One queued turn for each of these agents, before there is a node; agent to turn."""
        turns = {}
        for name in agents:
            await self._inner.execute(CreateAgent(Definition(name, tools=(tool,), source=source)))
            turns[name] = new_id()
            await self._inner.execute(
                Enqueue(name, (TurnSpec(turns[name], name, tool),), 1, code_agents=frozenset({name}))
            )
        return turns


class Node:
    """A service that runs, with short ways to use it."""

    def __init__(self, service: Service, store: FlawedStore) -> None:
        self.service, self.store = service, store

    async def agent(self, name: str, *tools: str, **parts: Any) -> str:
        await self.service.services.administration.create(Definition(name, tools=tools, **parts))
        return name

    async def submit(self, agent: str, tool: str, *args: Any) -> str:
        accepted = await self.service.services.submission.submit(agent, [TurnRequest(tool, list(args), {})])
        return accepted.turns[0].turn.id

    async def ended(self, turn_id: str) -> Turn:
        async def reached() -> Turn | None:
            placed = await self.service.services.store.get_turn(turn_id)
            return placed.turn if placed is not None and placed.turn.ended else None

        found = await eventually(reached)
        assert found is not None
        return found

    async def do(self, agent: str, tool: str, *args: Any) -> Turn:
        """Submit a turn and wait for its end."""
        return await self.ended(await self.submit(agent, tool, *args))


@asynccontextmanager
async def running(*agents: Agent, store: FlawedStore | None = None, **settings: Any) -> AsyncIterator[Node]:
    """Serve the registered tools and these agents of the code until the block ends."""
    store = store or FlawedStore()
    with patch("pygents_app.main.open_store", lambda *_, **__: store):
        service = Service(Settings(store="memory://", **settings), agents)
    try:
        await service.start()
        yield Node(service, store)
    finally:
        await service.close()
