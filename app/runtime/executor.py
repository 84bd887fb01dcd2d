"""The runners of a worker: takes assignments from an inbox, knows what is running, waiting for a lock, or stuck.

Everything but the methods marked "any thread" happens on the worker's loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from ..model import Begun, Definition, Turn
from .capacity import Capacity
from .outcomes import Stop
from .runner import Equipment, Runner
from .worker import Worker

SWEEP_SECONDS = 0.25
"""How often runners are looked at for code that had to stop and has not; no timer per turn."""


class Assignment(NamedTuple):
    """Execute a turn; ``begun`` is None if it must hold its tool's lock before it may begin."""

    turn: Turn
    definition: Definition
    begun: Begun | None


class StopOrder(NamedTuple):
    turn_id: str
    why: Stop


class Executor:
    """``equipment`` is what the runners share; ``capacity`` learns how many turns have begun and not ended."""

    def __init__(self, *, worker: Worker, equipment: Equipment, capacity: Capacity) -> None:
        self._worker, self._equipment = worker, equipment
        self._inbox: deque[Assignment | StopOrder] = deque()
        self._runners: dict[str, Runner] = {}
        self._waiting: set[str] = set()
        self._waiting_agents: set[str] = set()
        self._on_ended: Callable[[Runner], None] = lambda runner: None
        capacity.busy = self._busy
        self._sweeping = False

    # --- any thread --------------------------------------------------------------------------------------------------

    def start(self, on_ended: Callable[[Runner], None]) -> None:
        """``on_ended`` hears, on the worker's loop, of each runner that is through."""
        self._on_ended = on_ended
        self._worker.start(self._take)

    async def stop(self) -> None:
        await self._worker.stop()

    def assign(self, *orders: Assignment | StopOrder) -> None:
        self._inbox.extend(orders)
        self._worker.wake()

    def _busy(self) -> int:
        return len(self._inbox) + len(self._runners) - len(self._waiting)

    def waits_for_lock(self, turn_id: str) -> bool:
        return turn_id in self._waiting

    def waits_with(self, agent: str) -> bool:
        """Whether a turn of the agent waits for a lock."""
        return agent in self._waiting_agents

    def stuck(self, agent: str) -> bool:
        return any(runner.abandoned and runner.agent == agent for runner in tuple(self._runners.values()))

    def running(self) -> list[str]:
        """The ids of the turns that have begun and not ended, those that are assigned included."""
        assigned = [order.turn.id for order in tuple(self._inbox) if isinstance(order, Assignment) and order.begun]
        runners = tuple(self._runners.values())
        return [*(each.turn.id for each in runners if each.has_begun and not each.abandoned), *assigned]

    # --- on the worker's loop ----------------------------------------------------------------------------------------

    def _take(self) -> None:
        while self._inbox:
            match self._inbox.popleft():
                case Assignment(turn, definition, begun):
                    self._start(turn, definition, begun)
                case StopOrder(turn_id, why):
                    if runner := self._runners.get(turn_id):
                        runner.stop(why)
        self._plan_sweep()

    def _start(self, turn: Turn, definition: Definition, begun: Begun | None) -> None:
        """A turn that waits for its lock is begun by its own runner; hearing of that again starts nothing.

        It may be begun without the lock, too, if its tool was taken from the agent: the runner that waits gives way.
        Another attempt may come before the runner of the last one has heard that its end is stored.
        """
        known = self._runners.get(turn.id)
        attempt = turn.attempt if begun is not None else turn.attempt + 1
        if known is not None and known.has_begun and attempt <= known.turn.attempt:
            return
        if known is not None and not known.has_begun and (begun is None or known.accepts(begun)):
            return
        if known is not None and not known.has_begun:
            known.give_way()
        if begun is None:
            self._waiting.add(turn.id)
            self._waiting_agents.add(turn.spec.agent)
        self._runners[turn.id] = Runner(
            turn, definition, begun, equipment=self._equipment, began=self._began, ended=self._ended
        )

    def _began(self, runner: Runner) -> None:
        self._waits_no_more(runner)

    def _ended(self, runner: Runner) -> None:
        self._waits_no_more(runner)
        if self._runners.get(runner.turn.id) is runner:
            del self._runners[runner.turn.id]
        self._on_ended(runner)

    def _waits_no_more(self, runner: Runner) -> None:
        """An agent has one turn at the head of its mailbox, so it waits with no other."""
        if runner.turn.id in self._waiting:
            self._waiting.discard(runner.turn.id)
            self._waiting_agents.discard(runner.agent)

    def _plan_sweep(self) -> None:
        if self._runners and not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        now = monotonic()
        for runner in tuple(self._runners.values()):
            runner.sweep(now)
        self._plan_sweep()
