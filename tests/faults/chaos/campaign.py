"""A campaign: clients and readers around a server that is brought down again and again; at the end the rules judge."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic

from tests.faults.chaos.clients import STABLE, TOOLS, VOLATILE, Client, insist
from tests.faults.chaos.disasters import Disaster
from tests.faults.chaos.evidence import gather, restless
from tests.faults.chaos.ledger import Ledger, Operation
from tests.faults.chaos.readers import Reader, read_turn
from tests.faults.chaos.rules import judge
from tests.faults.chaos.server import READY_SECONDS, Server, serving
from tests.faults.chaos.wire import Wire
from tests.helpers import eventually
from tests.service import NEVER_LOGGED

CLIENTS = 20
REST_SECONDS = 40.0
READ_SECONDS = 15.0
MEMORY_ITEMS = 50

SETTINGS: Mapping[str, Sequence[object]] = {
    "PYGENTS_CONCURRENCY": (1, 2, 1_000, 1_000),
    "PYGENTS_MAILBOX_LIMIT": (8, 150, 150),
    "PYGENTS_MAX_CRASHES": (1, 3, 3),
    "PYGENTS_MAX_HOPS": (2, 64),
    "PYGENTS_CANCEL_GRACE": (0.05, 0.3),
}
"""From these each campaign draws: small limits are met more often."""

Fallen = Callable[[Server, random.Random], object]


class Violation(AssertionError):
    """Something that was promised did not hold."""


class Field:
    """What one campaign works with. ``seed`` names it: all choices are drawn from it."""

    def __init__(self, server: Server, wire: Wire, seed: str, stable: Sequence[str]) -> None:
        self.server, self.wire, self.seed, self.stable = server, wire, seed, stable
        self.ledger, self.tally = Ledger(), Counter[str]()
        self.dice = random.Random(seed)
        self.readers: list[Reader] = []
        self.killing = asyncio.Lock()
        self._reading: list[asyncio.Task[None]] = []

    async def make_agents(self, *names: str) -> None:
        for name in names:
            definition = {"name": name, "tools": list(TOOLS), "memory": {"limit": MEMORY_ITEMS}}
            assert (await insist(self.wire, "POST", "/agents", definition)).status in (200, 201)

    def note(self, operation: Operation) -> Operation:
        self.ledger.operations.append(operation)
        return operation

    def read(self, *readers: Reader) -> None:
        self.readers += readers
        self._reading += [asyncio.ensure_future(reader.live()) for reader in readers]

    async def come_to_rest(self) -> None:
        """Everything that was accepted ends, and readers see the end of it, without anybody doing anything."""
        for name in self.stable:
            await insist(self.wire, "POST", f"/agents/{name}/resume")
        deadline = monotonic() + REST_SECONDS
        while (left := restless(self.server.database)) and monotonic() < deadline:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
        for reader in self.readers:
            if not left and reader.agent in self.stable:
                latest = (await insist(self.wire, "GET", f"/agents/{reader.agent}")).json().get("latest", 0)
                try:
                    await eventually(partial(reader.has_seen, latest), timeout=READ_SECONDS)
                except AssertionError:
                    self.ledger.conflicts.append(f"{reader.agent}: a reader came to {reader.latest}, never to {latest}")

    async def stop_reading(self) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    def judge(self) -> Counter[str]:
        """The counts. Raises ``Violation`` with every rule that is broken."""
        broken = judge(gather(self.server.database, self.server.trace, self.ledger, self.stable))
        lines = self.server.log.splitlines()
        broken += [f"logged: {line}" for line in lines if any(never in line for never in NEVER_LOGGED)][:5]
        if broken:
            raise Violation(f"seed {self.seed}:\n" + "\n".join(broken) + f"\n--- log\n{self.server.log[-3000:]}")
        return self.tally + self.ledger.counts() + Counter({"starts of the server": self.server.starts})


@asynccontextmanager
async def field(
    folder: Path,
    seed: str,
    stable: Sequence[str],
    *,
    environ: Mapping[str, object] | None = None,
    fallen: Fallen = lambda server, dice: None,
    end: int = signal.SIGKILL,
) -> AsyncIterator[Field]:
    """A field whose server is not running; the block leaves one that does, and it comes to rest.

    ``stable``: agents that are made, and live all the time. ``fallen`` is called when the server was brought down.
    ``end``: the signal that ends the process that made them.
    """
    async with serving(folder, environ) as server:
        wire = Wire(server.port)
        its = Field(server, wire, seed, stable)
        try:
            await server.launch("in-migration=kill")
            await server.ends(READY_SECONDS)
            fallen(server, its.dice)
            await server.start()
            await its.make_agents(*stable)
            await server.signal(end)
            fallen(server, its.dice)
            yield its
            await its.come_to_rest()
        finally:
            await its.stop_reading()
            wire.close()
        await server.signal(signal.SIGTERM)


async def mixed(
    folder: Path,
    seed: str,
    disaster: Disaster,
    times: int,
    *,
    environ: Mapping[str, object] | None = None,
    fallen: Fallen = lambda server, dice: None,
) -> Counter[str]:
    """Everything that clients can do, through so many disasters; ``fallen`` is called while the server is down."""
    dice = random.Random(f"{seed}:settings")
    drawn = {name: dice.choice(values) for name, values in SETTINGS.items()}
    async with field(folder, seed, STABLE, environ={**drawn, **(environ or {})}, fallen=fallen) as its:
        clients = [Client(f"c{number}", seed, its.wire, its.ledger) for number in range(CLIENTS)]
        living = [asyncio.ensure_future(client.live()) for client in clients]
        its.read(*(Reader(agent, seed, its.server.port, its.ledger) for agent in (*STABLE, *VOLATILE)))
        watching = asyncio.ensure_future(_watch_turns(its))
        try:
            for _ in range(times):
                await disaster(its.server, its.dice, its.tally)
                fallen(its.server, its.dice)
                _check(living)
            await its.server.start()
            for client in clients:
                client.stopping = True
            await asyncio.wait_for(asyncio.gather(*living), REST_SECONDS)
        finally:
            await _end(watching, *living)
    return its.judge()


async def _watch_turns(its: Field) -> None:
    """Now and then the stream of one turn, to its end."""
    dice = random.Random(f"{its.seed}:turns")
    while True:
        operations = [each for each in its.ledger.operations[-20:] if each.kind == "submit" and each.turns]
        if operations:
            chosen = dice.choice(operations)
            await read_turn(its.server.port, chosen.agent, chosen.turns[0][0], its.ledger)
        await asyncio.sleep(0.05)


def _check(living: Sequence["asyncio.Task[None]"]) -> None:
    """A client that has ended has met something that is not in its book."""
    for task in living:
        if task.done():
            task.result()


async def _end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
