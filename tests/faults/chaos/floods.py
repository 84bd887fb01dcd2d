"""Very many of one thing, through a few kills: twins of one key, cancels against finishes, resumed streams."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from tests.faults.chaos.campaign import Field, field
from tests.faults.chaos.clients import PAUSE_SECONDS, Asker, insist
from tests.faults.chaos.ledger import Ended, Operation
from tests.faults.chaos.readers import Reader

AGENTS = tuple(f"s{number}" for number in range(16))
EACH_KILL = 500
"""So many twins, and then the server is killed under the next ones."""
KILLED_CANCELS = 0.04
WRITERS = 4
RESUMED_EVENTS_PER_KILL = 100_000


async def twins(folder: Path, seed: str, number: int) -> Counter[str]:
    """The same turn with the same key, twice at once, so often."""

    async def one(its: Field, asker: Asker, mark: str, agent: str, dice: random.Random) -> None:
        operation = its.note(Operation(mark, "submit", agent))
        body = {"tool": "quick", "kwargs": {"value": dice.random()}, "metadata": {"mark": mark}}
        path = f"/agents/{agent}/turns"
        await asyncio.gather(*(asker.insist(operation, path, body, 10_000, key=True) for _ in range(2)))

    return await _flood(folder, seed, number, one)


async def cancels(folder: Path, seed: str, number: int) -> Counter[str]:
    """A short turn and its cancel, at a moment that is as likely before its end as after it.

    Now and then the server is killed as soon as it has acknowledged a cancel whose tool still runs.
    """

    async def one(its: Field, asker: Asker, mark: str, agent: str, dice: random.Random) -> None:
        seconds, wait, deadly = dice.uniform(0, 0.06), dice.uniform(0, 0.05), dice.random() < KILLED_CANCELS
        operation = its.note(Operation(mark, "submit", agent))
        tool = dice.choice(("slow", "slow", "stubborn"))
        body = {"tool": tool, "kwargs": {"seconds": seconds}, "metadata": {"mark": mark}}
        await asker.insist(operation, f"/agents/{agent}/turns", body, 10_000, key=True)
        if operation.ended is not Ended.OK:
            return
        await asyncio.sleep(wait)
        cancel = its.note(Operation(f"{mark}!", "cancel", agent, turns=[operation.turns[0]]))
        await asker.cancel(cancel)
        for status in cancel.statuses:
            its.tally["cancels answered"] += 1
            its.tally[f"cancels answered {status}"] += 1
        if deadly and cancel.statuses == [202]:
            await _kill(its)

    return await _flood(folder, seed, number, one, each_kill=None)


async def resumes(folder: Path, seed: str, number: int) -> Counter[str]:
    """So many events, read by connections that begin at any number of logs that grow meanwhile."""
    async with field(folder, seed, AGENTS[:WRITERS]) as its:
        await its.server.start()
        writing = [asyncio.ensure_future(_write(its, agent)) for agent in its.stable]
        its.read(
            *(Reader(agent, f"{seed}:{copy}", its.server.port, its.ledger, jumps=0.95, most=(1_000, 3_000))
              for agent in its.stable for copy in range(3))
        )  # fmt: skip
        try:
            until = RESUMED_EVENTS_PER_KILL
            while (resumed := its.ledger.counts()["resumed events"]) < number:
                await asyncio.sleep(0.2)
                if resumed >= until:
                    until += RESUMED_EVENTS_PER_KILL
                    await _kill(its)
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)
    return its.judge()


One = Callable[[Field, Asker, str, str, random.Random], Awaitable[None]]


async def _flood(folder: Path, seed: str, number: int, one: One, *, each_kill: int | None = EACH_KILL) -> Counter[str]:
    """As many at once as there are agents, one after the other on each, until there were ``number``."""
    async with field(folder, seed, AGENTS) as its:
        await its.server.start()
        asker = Asker(its.wire)
        left = iter(range(number))

        async def lane(agent: str) -> None:
            for index in left:
                await one(its, asker, f"m{index}", agent, random.Random(f"{seed}:{index}"))

        lanes = [asyncio.ensure_future(lane(agent)) for agent in AGENTS]
        try:
            await _kill_now_and_then(its, lanes, each_kill)
            await asyncio.gather(*lanes)
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
    return its.judge()


async def _kill_now_and_then(its: Field, lanes: Sequence["asyncio.Future[None]"], each: int | None) -> None:
    due = each
    while not all(lane.done() for lane in lanes):
        if due is not None and each is not None and len(its.ledger.operations) >= due:
            due += each
            await _kill(its)
        for lane in lanes:
            if lane.done():
                lane.result()  # one that has failed ends the campaign; the others would wait for ever
        await asyncio.sleep(0.02)


async def _kill(its: Field) -> None:
    """Does nothing if somebody else is at it."""
    if not its.killing.locked():
        async with its.killing:
            await its.server.kill()
            its.tally["kills"] += 1
            await its.server.start()


async def _write(its: Field, agent: str) -> None:
    dice = random.Random(f"{its.seed}:{agent}")
    while True:
        body = {"tool": "stream", "kwargs": {"to": dice.randrange(1, 400)}, "metadata": {}}
        await insist(its.wire, "POST", f"/agents/{agent}/turns", body)
        await asyncio.sleep(PAUSE_SECONDS * dice.randrange(1, 20))
