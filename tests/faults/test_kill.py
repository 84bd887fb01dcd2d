"""kill -9 of whole processes, as operators start them, under load; ``test_chaos`` kills forked ones, far more often."""

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from tests.caller import Caller, calling
from tests.conftest import STRICT
from tests.follower import Event, following
from tests.helpers import eventually
from tests.history import Acknowledged, check_acknowledged, check_log
from tests.service import START_SECONDS, Service

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("KILL_ROUNDS", "12" if STRICT else "4"))
AGENTS, CLIENTS, POSTS = 4, 4, 5
TURNS: tuple[tuple[str, dict[str, object]], ...] = (
    ("echo", {"value": "x"}), ("count", {"to": 5}), ("count", {"to": 3, "delay": 0.001}), ("hostile", {"kind": "NaN"}),
)  # fmt: skip


class Load:
    """Clients that post one turn after the other, each until it is acknowledged, whatever happens to the server."""

    def __init__(self, caller: Caller, agents: list[str], dice: random.Random) -> None:
        self._caller, self._agents, self._dice = caller, agents, dice
        self.known: dict[str, list[Acknowledged]] = {agent: [] for agent in agents}
        self.in_round = 0

    async def one_round(self, number: int) -> None:
        self.in_round = 0
        async with asyncio.TaskGroup() as group:
            for agent in self._agents:
                for client in range(CLIENTS):
                    group.create_task(self._client(agent, f"{agent}-{client}", number))

    def is_at(self, acknowledged: int) -> bool:
        """Whether the round has come that far."""
        return self.in_round >= acknowledged

    async def _client(self, agent: str, name: str, number: int) -> None:
        for post in range(POSTS):
            key = f"{name}-{number}-{post}"
            tool, kwargs = self._dice.choice(TURNS)
            turn_id = await self._insist(agent, key, tool, kwargs)
            self.known[agent].append(Acknowledged(name, key, turn_id))
            self.in_round += 1

    async def _insist(self, agent: str, key: str, tool: str, kwargs: dict[str, object]) -> str:
        async def answered() -> str | None:
            try:
                answer = await self._caller.post(agent, tool, key=key, kwargs=kwargs, metadata={"key": key})
            except httpx.TransportError:
                return None
            assert answer.status_code in (202, 503), answer.text
            return str(answer.json()["id"]) if answer.status_code == 202 else None

        return await eventually(answered, timeout=START_SECONDS) or ""


class Reader:
    """Follows one agent over all kills, going on after the last event that it has seen."""

    def __init__(self, service: Service, agent: str) -> None:
        self._url = f"{service.url}/agents/{agent}/stream"
        self.seen: list[Event] = []

    def has_seen(self, seq: int) -> bool:
        return bool(self.seen) and self.seen[-1]["seq"] >= seq

    async def follow(self) -> None:
        while True:
            try:
                async with following(self._url, cursor=self.seen[-1]["seq"] if self.seen else None) as follower:
                    assert follower.status == 200
                    taken = 0
                    while await follower.read():
                        self.seen += follower.events[taken:]
                        taken = len(follower.events)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)


async def _restart(service: Service, dice: random.Random) -> None:
    """Start again; sometimes the new process is killed, too, somewhere on its way to being ready."""
    service.launch()
    if dice.random() < 0.25:
        await asyncio.sleep(dice.uniform(0, 0.8))
        service.kill()
        service.launch()
    await _ready(service)


async def _ready(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=START_SECONDS, trust_env=False) as http:

        async def ready() -> bool:
            assert service.running
            try:
                return (await http.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(ready, timeout=START_SECONDS)


async def _check(caller: Caller, load: Load, agents: list[str]) -> dict[str, list[Event]]:
    logs = {}
    for agent in agents:
        await caller.agent_becomes(agent, "idle")
        logs[agent] = events = await caller.events(agent)
        check_log(events)
        check_acknowledged(load.known[agent], await caller.turns(agent), events)
    return logs


@pytest.mark.timeout(30 + 10 * ROUNDS)
async def test_kill_under_load(own: Callable[..., Service]) -> None:
    """No acknowledged turn lost, none doubled, one end each, one at a time, in order; streams resume without a gap."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {ROUNDS} rounds")
    dice = random.Random(seed)
    service = own()
    async with calling(service.url) as caller:
        agents = [await caller.make_agent("echo", "count", "hostile") for _ in range(AGENTS)]
        load, readers = Load(caller, agents, dice), [Reader(service, agent) for agent in agents]
        logs: dict[str, list[Event]] = {}
        async with asyncio.TaskGroup() as group:
            following_all = [group.create_task(reader.follow()) for reader in readers]
            for number in range(ROUNDS):
                when = dice.randrange(AGENTS * CLIENTS * POSTS)
                posting = group.create_task(load.one_round(number))
                await eventually(partial(load.is_at, when), timeout=START_SECONDS)
                service.kill()
                await _restart(service, dice)
                await posting
                logs = await _check(caller, load, agents)
            for agent, reader in zip(agents, readers, strict=True):
                await eventually(partial(reader.has_seen, len(logs[agent])))
            for task in following_all:
                task.cancel()
    for agent, reader in zip(agents, readers, strict=True):
        assert reader.seen == logs[agent]
    assert service.stop() in (0, -15, 143)
    with sqlite3.connect(service.database) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
