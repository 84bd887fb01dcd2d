"""Power cuts: with full durability nothing acknowledged is lost; with relaxed durability it is measured how much is."""

import asyncio
import random
import signal
from collections import Counter
from pathlib import Path
from time import monotonic

from tests.faults.chaos import disasters, power
from tests.faults.chaos.campaign import Field, Violation, field, mixed
from tests.faults.chaos.evidence import gather
from tests.faults.chaos.server import Server
from tests.faults.chaos.wire import NoAnswer
from tests.history import check_contiguous

SYNC_MICROS = 2_000
"""As long as an fsync takes here, so that cuts fall into them."""


def _environ(folder: Path, **more: object) -> dict[str, object]:
    return {"LD_PRELOAD": power.compiled(folder), "POWER_SYNC_MICROS": SYNC_MICROS, **more}


async def cuts(folder: Path, seed: str, number: int) -> Counter[str]:
    """Everything that clients can do, through so many power cuts."""
    lost: Counter[str] = Counter()

    def cut(server: Server, dice: random.Random) -> None:
        lost["bytes lost that were not synced"] += (gone := power.cut(server.folder, dice))
        lost["power cuts"] += 1
        lost["power cuts that lost bytes"] += gone > 0

    tally = await mixed(folder, seed, disasters.kill, number, environ=_environ(folder), fallen=cut)
    del tally["kills"]
    return tally + lost


async def relaxed(folder: Path, seed: str, number: int) -> Counter[str]:
    """What a cut takes of what was acknowledged: always the last turns, never one before a turn that is kept."""
    tally: Counter[str] = Counter()
    for index in range(number):
        place = folder / f"relaxed-{index}"
        place.mkdir()
        environ = _environ(folder, PYGENTS_DURABILITY="relaxed")
        async with field(place, f"{seed}/{index}", ("s0",), environ=environ, end=signal.SIGTERM) as its:
            tally += await _one_relaxed(its)
            tally["longest loss, ms"] = max(tally["longest loss, ms"], tally.pop("loss, ms", 0))
    return tally


async def _one_relaxed(its: Field) -> Counter[str]:
    accepted: list[tuple[float, str]] = []
    await its.server.start()
    posting = [asyncio.ensure_future(_post(its, accepted)) for _ in range(8)]
    await asyncio.sleep(its.dice.uniform(0.1, 2))
    await its.server.kill()
    for task in posting:
        task.cancel()
    await asyncio.gather(*posting, return_exceptions=True)
    power.cut(its.server.folder, its.dice)
    await its.server.start()
    evidence = gather(its.server.database, its.server.trace, its.ledger, its.stable)
    kept = [turn_id in evidence.turns for _, turn_id in accepted]
    check_contiguous(evidence.events["s0"])
    if evidence.damage != "ok":
        raise Violation(f"seed {its.seed}: {evidence.damage}")
    lost = [moment for (moment, _), there in zip(accepted, kept, strict=True) if not there]
    return Counter(
        {
            "relaxed power cuts": 1,
            "relaxed, acknowledged": len(accepted),
            "relaxed, acknowledged and lost": len(lost),
            "loss, ms": round((accepted[-1][0] - lost[0]) * 1000) if lost else 0,
        }
    )


async def _post(its: Field, accepted: list[tuple[float, str]]) -> None:
    while True:
        try:
            answer = await its.wire.request("POST", "/agents/s0/turns", {"tool": "quick"})
        except NoAnswer:
            return
        if answer.status == 202:
            accepted.append((monotonic(), answer.json()["id"]))
        else:
            await asyncio.sleep(0.01)
