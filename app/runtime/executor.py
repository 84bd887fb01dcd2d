"""The runners of this node: knows what is running, waiting for a lock, or stuck, and on which worker.

A runner is started on the loop of the worker that takes its assignment, and says there that it has begun and ended.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Literal

from pygents_core.tool import Tool

from ..model import Begun, Definition, Turn
from .capacity import Capacity
from .equipment import Equipment, new_scribe
from .orders import Assignment, Order, StopOrder
from .outcomes import DRAINED, Stop
from .runner import Runner
from .scribe import Ending
from .telling import is_telling
from .worker import Block, Worker
from .workers import Workers


class Executor:
    """``equipment`` is what the runners share; ``capacity`` learns how many turns have begun and not ended.

    ``tools``: those whose locks turns may wait for.
    """

    def __init__(
        self, *, workers: Workers, equipment: Equipment, capacity: Capacity, tools: Iterable[Tool] = ()
    ) -> None:
        self._workers, self._equipment = workers, equipment
        self._locks = [tool.lock for tool in tools if tool.lock is not None]
        self._runners: dict[str, Runner] = {}
        self._guard = threading.Lock()
        self._waiting: set[str] = set()
        self._waiting_agents: set[str] = set()
        self._on_ended: Callable[[Runner], None] = lambda runner: None
        capacity.busy = self._busy

    # --- any thread --------------------------------------------------------------------------------------------------

    def start(self, on_ended: Callable[[Runner], None]) -> None:
        """``on_ended`` hears, on its worker's loop, of each runner that is through."""
        self._on_ended = on_ended
        self._workers.start(self._execute)

    async def stop(self) -> None:
        for runner in self._all():  # one that has begun only now was not told yet why it is cancelled
            runner.stop(Stop.DRAIN)
        await self._workers.stop()

    def assign(self, *orders: Order) -> None:
        self._workers.put(*orders)

    def _busy(self) -> int:
        return self._workers.depth + len(self._runners) - len(self._waiting)

    def waits_for_lock(self, turn_id: str) -> bool:
        return turn_id in self._waiting

    def waits_with(self, agent: str) -> bool:
        """Whether a turn of the agent waits for a lock."""
        return agent in self._waiting_agents

    def trouble(self, agent: str) -> Literal["blocked", "stuck"] | None:
        """``blocked``: a turn of the agent is on a loop that is blocked. ``stuck``: its code does not stop."""
        for runner in self._all():
            if runner.agent == agent and runner.has_begun:
                if self._workers.is_blocked(runner.loop):
                    return "blocked"
                if runner.abandoned:
                    return "stuck"
        return None

    def blocks(self) -> tuple[Block, ...]:
        """Which code blocks a loop right now, and since when."""
        return self._workers.blocks()

    @property
    def exhausted(self) -> bool:
        return self._workers.exhausted

    def running(self) -> list[str]:
        """The ids of the turns that have begun and whose end is not written, those that are assigned included."""
        before = self._open()  # its end may begin another, which is assigned and then taken while this looks
        orders = self._workers.waiting()
        assigned = [order.turn.id for order in orders if isinstance(order, Assignment) and order.begun]
        return list(dict.fromkeys([*before, *assigned, *self._open()]))

    def _open(self) -> list[str]:
        return [each.turn.id for each in self._all() if each.is_open]

    def give_up(self) -> None:
        """Before the process ends: write the ends of the turns that are left, from the calling loop.

        A loop that runs tools may be blocked, and not be known to be yet.
        """
        for runner in self._all():
            if (ending := runner.at_once(hears=not self._workers.is_blocked(runner.loop))) is not None:
                runner.abandon_from_outside(ending)
        for begun in self._workers.withdraw():
            new_scribe(begun, self._equipment).finish(Ending(DRAINED))

    def runner_of(self, task: "asyncio.Task[object] | None") -> Runner | None:
        """Whose code the task is, be it one that the turn's code has started."""
        return next((runner for runner in self._all() if task is not None and runner.owns(task)), None)

    def loops(self) -> set[asyncio.AbstractEventLoop]:
        """Those that are needed by turns, or by the hooks that follow them."""
        return {runner.loop for runner in self._all()} | {
            worker.loop for worker in self._workers.all() if is_telling(worker.loop)
        }

    def _all(self) -> tuple[Runner, ...]:
        return tuple(self._runners.values())

    # --- of the watchdog ---------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """End the turns whose code had to stop and has not within the grace. ``now`` is monotonic.

        On a loop that is blocked nothing can be written: the end of such a turn is written from this one.
        """
        for runner in self._all():
            ending = runner.overdue(now)
            if ending is None:
                continue
            if self._workers.is_blocked(runner.loop):
                runner.abandon_from_outside(ending)
            else:
                runner.soon(runner.abandon, ending)

    def rescue(self, worker: Worker) -> None:
        """Give what a blocked worker has not begun to the current one; tell its runners what they cannot hear."""
        for lock in self._locks:
            lock.stand_aside(worker.loop)
        with self._workers.paused() as is_paused:
            if not is_paused:
                return
            if self._workers.current.block is None:
                self._workers.take_back(worker, self._leaving(worker))
            else:
                self._tell_to_stop()

    def _leaving(self, worker: Worker) -> list[Order]:
        """What the runners of this worker whose code was not entered were there for; they forget it."""
        task = worker.block.task if worker.block is not None else None
        orders: list[Order] = []
        for runner in self._all():
            if runner.loop is worker.loop and not runner.owns(task) and runner.leave():
                with self._guard:
                    if self._runners.get(runner.turn.id) is runner:
                        del self._runners[runner.turn.id]
                orders += runner.orders()
        return orders

    def _tell_to_stop(self) -> None:
        """Nobody takes orders: turns that are told to stop must know since when."""
        orders = self._workers.waiting()
        coming = {order.turn.id for order in orders if isinstance(order, Assignment)}
        for order in orders:
            if isinstance(order, StopOrder) and order.turn_id not in coming:
                self._stop(order)

    # --- on the worker's loop ----------------------------------------------------------------------------------------

    def _execute(self, order: Order) -> None:
        match order:
            case Assignment(turn, definition, begun):
                self._start(turn, definition, begun)
            case StopOrder():
                self._stop(order)

    def _stop(self, order: StopOrder) -> None:
        if runner := self._runners.get(order.turn_id):
            runner.stop(order.why)

    def _start(self, turn: Turn, definition: Definition, begun: Begun | None) -> None:
        """A turn that waits for its lock is begun by its own runner; hearing of that again starts nothing.

        It may be begun without the lock, too, if its tool was taken from the agent: the runner that waits gives way.
        Another attempt may come before the runner of the last one has heard that its end is stored.
        """
        with self._guard:
            known, attempt = self._runners.get(turn.id), turn.attempt if begun is not None else turn.attempt + 1
            if known is not None and known.has_begun and attempt <= known.turn.attempt:
                return
            if known is not None and not known.has_begun:
                if begun is None or known.accepts(begun):
                    return
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
        with self._guard:
            if self._runners.get(runner.turn.id) is runner:
                del self._runners[runner.turn.id]
        self._on_ended(runner)

    def _waits_no_more(self, runner: Runner) -> None:
        """An agent has one turn at the head of its mailbox, so it waits with no other."""
        if runner.turn.id in self._waiting:
            self._waiting.discard(runner.turn.id)
            self._waiting_agents.discard(runner.agent)
