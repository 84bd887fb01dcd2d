"""Clients with a will of their own: what each does next is drawn from its seed, never from what the server does."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tests.faults.chaos.ledger import Ended, Json, Ledger, Operation
from tests.faults.chaos.wire import Answer, NoAnswer, Wire

PAUSE_SECONDS = 0.02
"""How long a client waits when there is no answer."""
TOOLS = (
    "quick", "slow", "stream", "lasting", "flaky", "locked", "locked_lasting", "failing", "stubborn", "relay", "fan",
    "insistent", "loop", "remember",
)  # fmt: skip
STABLE = ("s0", "s1", "s2", "s3")
"""Agents that live as long as the campaign."""
VOLATILE = ("v0", "v1")
"""Agents that are deleted and made again."""
ALL = STABLE + VOLATILE

Kwargs = dict[str, Any]
ARGUMENTS: Mapping[str, Callable[[random.Random], Kwargs]] = {
    "quick": lambda dice: {"value": dice.random()},
    "slow": lambda dice: {"seconds": dice.uniform(0, 0.05)},
    "stream": lambda dice: {"to": dice.randrange(40), "pause": dice.choice((0, 0, 0.001))},
    "lasting": lambda dice: {"to": dice.randrange(1, 8), "pause": dice.choice((0, 0.005))},
    "flaky": lambda dice: {"failures": dice.randrange(3)},
    "locked": lambda dice: {"seconds": dice.uniform(0, 0.01)},
    "locked_lasting": lambda dice: {"seconds": dice.uniform(0, 0.01)},
    "failing": lambda dice: {},
    "stubborn": lambda dice: {"seconds": dice.choice((0.05, 0.1, 0.6))},
    "relay": lambda dice: {"way": dice.choices(ALL, k=dice.randrange(1, 6))},
    "fan": lambda dice: {"to": dice.choices(ALL, k=2), "each": dice.randrange(1, 5)},
    "insistent": lambda dice: {"to": dice.choice(ALL), "times": dice.randrange(1, 5), "failures": dice.randrange(2)},
    "loop": lambda dice: {"times": dice.randrange(1, 5)},
    "remember": lambda dice: {},
}
OFTEN = (8, 4, 6, 5, 4, 3, 2, 1, 3, 4, 3, 3, 3, 3)
INVALID: Sequence[Json] = (
    {"tool": "nowhere"}, {"tool": "slow", "kwargs": {"seconds": "never"}}, {"tool": "quick", "unknown": 1},
)  # fmt: skip


class Asker:
    """Asks the service, and writes down what became of it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def insist(self, operation: Operation, path: str, body: object, patience: int, *, key: bool) -> None:
        """Submit until there is an answer below 500, so often at most."""
        for _ in range(patience):
            answer = await self.once(operation, "POST", path, body, key=operation.mark if key else None)
            if answer is not None and answer.status < 500:
                if answer.status == 202:
                    found = answer.json()
                    operation.turns.append(tuple(turn["id"] for turn in found.get("items", [found])))
                return
            await asyncio.sleep(PAUSE_SECONDS)
        operation.unsure = True

    async def cancel(self, operation: Operation) -> None:
        """The turn that the operation names, once."""
        path = f"/agents/{operation.agent}/turns/{operation.turns[0][0]}/cancel"
        answer = await self.once(operation, "POST", path)
        if answer is not None and answer.status == 409:
            operation.found = str(answer.json()["turn"]["status"])

    async def once(
        self, operation: Operation, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> Answer | None:
        """A success stands, whatever a later answer says."""
        try:
            answer = await self._wire.request(method, path, body, key=key)
        except NoAnswer:
            await asyncio.sleep(PAUSE_SECONDS)
            return None
        operation.statuses.append(answer.status)
        if answer.status < 400:
            operation.ended = Ended.OK
        elif answer.status < 500 and operation.ended is not Ended.OK:
            operation.ended = Ended.FAIL
        return answer


async def insist(wire: Wire, method: str, path: str, body: object = None) -> Answer:
    """Ask until there is an answer below 500."""
    while True:
        with suppress(NoAnswer):
            answer = await wire.request(method, path, body)
            if answer.status < 500:
                return answer
        await asyncio.sleep(PAUSE_SECONDS)


class Client:
    """One that does one thing after the other until it is told to stop."""

    def __init__(self, name: str, seed: str, wire: Wire, ledger: Ledger) -> None:
        self._name, self._asker, self._ledger = name, Asker(wire), ledger
        self._dice = random.Random(f"{seed}:{name}")
        self._number = 0
        self._accepted: deque[tuple[str, str]] = deque(maxlen=12)
        self.stopping = False

    async def live(self) -> None:
        """Until ``stopping``; the operation that is under way is brought to its end."""
        acts = (self._submit, self._twins, self._batch, self._cancel, self._pause, self._patch, self._invalid)
        others = (self._renew, self._volatile, self._look)
        while not self.stopping:
            (act,) = self._dice.choices((*acts, *others), weights=(40, 8, 8, 14, 4, 2, 3, 2, 6, 3))
            await act()

    # --- what it does ------------------------------------------------------------------------------------------------

    async def _submit(self, agent: str | None = None) -> None:
        """With a key, until it is accepted or refused; now and then it gives up, and then nobody knows."""
        operation, key, patience = self._new("submit", agent), self._dice.random() < 0.85, self._dice.randrange(1, 400)
        body = self._turn(operation.mark)
        await self._asker.insist(operation, f"/agents/{operation.agent}/turns", body, patience if key else 1, key=key)
        self._remember(operation)

    async def _twins(self) -> None:
        operation = self._new("submit")
        path, body = f"/agents/{operation.agent}/turns", self._turn(operation.mark)
        count = self._dice.randrange(2, 5)
        await asyncio.gather(*(self._asker.insist(operation, path, body, 400, key=True) for _ in range(count)))
        self._remember(operation)

    async def _batch(self) -> None:
        operation = self._new("batch")
        operation.size = self._dice.randrange(1, 8)
        body = [self._turn(mark) for mark in operation.marks()]
        await self._asker.insist(operation, f"/agents/{operation.agent}/turns/batch", body, 400, key=True)

    async def _cancel(self) -> None:
        """One of its own turns, at a moment that is as likely before its end as after it."""
        back, wait = self._dice.random(), self._dice.choice((0, 0, 0.002, 0.01))
        await asyncio.sleep(wait)
        if not self._accepted:
            self._number += 1  # what comes after has the same name, whether there was something to cancel or not
            return
        agent, turn_id = self._accepted[int(back * len(self._accepted))]
        operation = self._new("cancel", agent)
        operation.turns.append((turn_id,))
        await self._asker.cancel(operation)

    async def _pause(self) -> None:
        agent, seconds = self._dice.choice(STABLE), self._dice.uniform(0, 0.05)
        await self._asker.once(self._new("pause", agent), "POST", f"/agents/{agent}/pause")
        await asyncio.sleep(seconds)
        await self._asker.once(self._new("resume", agent), "POST", f"/agents/{agent}/resume")

    async def _patch(self) -> None:
        operation = self._new("patch")
        labels = {"mark": operation.mark}
        await self._asker.once(operation, "PATCH", f"/agents/{operation.agent}", {"labels": labels})

    async def _invalid(self) -> None:
        operation, body = self._new("submit"), self._dice.choice(INVALID)
        body = {**body, "metadata": {"mark": operation.mark}}
        await self._asker.once(operation, "POST", f"/agents/{operation.agent}/turns", body)

    async def _renew(self) -> None:
        """Delete an agent, with whatever it has, and make it again."""
        agent = self._dice.choice(VOLATILE)
        await self._asker.once(self._new("delete", agent), "DELETE", f"/agents/{agent}?force=true")
        await self._asker.once(self._new("create", agent), "POST", "/agents", {"name": agent, "tools": list(TOOLS)})

    async def _volatile(self) -> None:
        await self._submit(self._dice.choice(VOLATILE))

    async def _look(self) -> None:
        agent = self._dice.choice(STABLE)
        await self._asker.once(self._new("look", agent), "GET", f"/agents/{agent}/turns?limit=20")

    # --- how ---------------------------------------------------------------------------------------------------------

    def _new(self, kind: str, agent: str | None = None) -> Operation:
        self._number += 1
        operation = Operation(f"{self._name}-{self._number}", kind, agent or self._dice.choice(STABLE), self._name)
        self._ledger.operations.append(operation)
        return operation

    def _turn(self, mark: str) -> Json:
        (name,) = self._dice.choices(TOOLS, weights=OFTEN)
        body: Json = {"tool": name, "kwargs": ARGUMENTS[name](self._dice), "metadata": {"mark": mark}}
        chance = self._dice.random()
        if chance < 0.06:
            body["delay"] = self._dice.uniform(0.001, 0.2)
        elif chance < 0.1 or (name == "stubborn" and chance < 0.5):
            body["timeout"] = self._dice.uniform(0.001, 0.1)
        return body

    def _remember(self, operation: Operation) -> None:
        if operation.turns:
            self._accepted.append((operation.agent, operation.turns[0][0]))
