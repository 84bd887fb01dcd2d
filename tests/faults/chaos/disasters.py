"""The ways in which a server is brought down, again and again, while clients go on."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic

from pygents_app.failpoints import POINTS
from tests.faults.chaos.server import Server

DRAIN_SECONDS = 1.0
EXIT_SECONDS = DRAIN_SECONDS + 5
AT_START = ("in-migration", "before-recovery", "in-recovery")
TRIES = 20
RARE = ("in-purge",)
"""Passed few times in the life of a process."""

Disaster = Callable[[Server, random.Random, Counter[str]], Awaitable[None]]
"""Bring the server up, and down again; counts what was done."""


async def kill(server: Server, dice: random.Random, tally: Counter[str]) -> None:
    """kill -9: at a failpoint or at any moment, sometimes on the way to being ready."""
    armed, orders = _orders(dice)
    early, window = dice.random() < 0.1, dice.uniform(0.02, 0.4)
    await server.launch(orders, {"pygents_app.store.sqlite:CHECKPOINT_PAGES": dice.choice((20, 200, 4_000))})
    if early:
        await asyncio.sleep(window / 4)
    else:
        await server.becomes_ready()
        await asyncio.wait([asyncio.ensure_future(server.ends(30))], timeout=window)
    died = not server.running
    await server.kill()
    tally["kills"] += 1
    tally[f"killed {f'at {armed}' if died and armed else 'at any moment'}"] += 1


async def restart(server: Server, dice: random.Random, tally: Counter[str]) -> None:
    """SIGTERM under load: gone in time, by itself."""
    window = dice.uniform(0.05, 0.4)
    await server.start()
    await asyncio.sleep(window)
    before = monotonic()
    code = await server.signal(signal.SIGTERM, EXIT_SECONDS)
    assert code in (0, -signal.SIGTERM, 128 + signal.SIGTERM), f"ended with {code}:\n{server.log[-4000:]}"
    tally["rolling restarts"] += 1
    tally["slowest exit, ms"] = max(tally["slowest exit, ms"], round((monotonic() - before) * 1000))


def at(point: str) -> Disaster:
    """Die at that point, surely: the server is started again until somebody has passed it."""

    async def strike(server: Server, dice: random.Random, tally: Counter[str]) -> None:
        for _ in range(TRIES):
            await server.launch(f"{point}=kill")
            if await server.becomes_ready():
                await _pass(server, point)
            died = not server.running
            await server.kill()
            if died:
                tally["kills"] += 1
                tally[f"killed at {point}"] += 1
                return
        raise AssertionError(f"nobody passes {point}")

    return strike


async def _pass(server: Server, point: str) -> None:
    """Give the clients, or the end of the service, time to get there."""
    if point == "in-close":
        await asyncio.sleep(0.05)
        await server.signal(signal.SIGTERM, EXIT_SECONDS)
    else:
        seconds = 0.3 if point in AT_START else 5.0
        await asyncio.wait([asyncio.ensure_future(server.ends(30))], timeout=seconds)


def _orders(dice: random.Random) -> tuple[str, str]:
    """Which failpoint kills, if any, and what else happens: waits and failed writes."""
    point, times, plain = dice.choice(tuple(POINTS)), int(dice.paretovariate(0.8)), dice.random() < 0.3
    if point in (*AT_START, *RARE):
        times = 1 + times % 2
    orders = [f"seed={dice.randrange(1 << 30)}"]
    if dice.random() < 0.2:
        orders.append("before-transaction=sleep(0.02)%0.1")
    if dice.random() < 0.15:
        orders.append("before-commit=raise%0.05")
    if not plain:
        orders.append(f"{point}=kill@{times}")  # the last order for a point is the one that stands
    return ("" if plain else point), ",".join(orders)
