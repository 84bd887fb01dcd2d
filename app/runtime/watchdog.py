"""Finds code that blocks a loop on which tools run, says where it is, and gets everything else out of its way.

A probe is sent round every loop; one that is late tells that the loop is blocked, unless the loop is merely busy: it
must have been in the same step of the same task all the time. Nothing of this costs a turn anything.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

from ..clock import Clock
from ..logs.about import about
from ..telemetry import Blocked, Emit, Lagged, silent
from .executor import Executor
from .standstill import Standstill
from .worker import Block, Worker
from .workers import Workers

log = logging.getLogger("pygents.watchdog")

LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 0.5
"""How long a loop may be in one step. Found after this, a look before the probe left, and a look at the end."""
SWEEP_SECONDS = 0.25
"""How often turns are looked at whose code had to stop and has not; no timer per turn."""


class Probe:
    """Goes round the loop of ``worker``, again and again."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._task: asyncio.Task[object] | None = None
        self._is_out = False
        self._sent_at = 0.0
        self.waited = self.lag = 0.0
        """``waited``: seconds in one step, so far. ``lag``: how long the last round has taken."""

    @property
    def is_back(self) -> bool:
        return not self._is_out

    def send(self) -> None:
        self._is_out, self._task, self.waited, self._sent_at = True, None, 0.0, monotonic()
        self._worker.soon(self._came_round)

    def stands(self, passed: float) -> bool:
        """Whether the loop has been in one step for too long. ``passed``: seconds since it was asked last."""
        task = self._worker.running_task()
        self.waited = self.waited + passed if task is self._task else passed
        self._task = task
        return self.waited >= PATIENCE_SECONDS

    def _came_round(self) -> None:
        self.lag = monotonic() - self._sent_at
        self._is_out = False


class Watchdog:
    """Lives on the loop that calls ``start``, until ``stop``; that must be another one than those it watches."""

    def __init__(self, *, workers: Workers, executor: Executor, clock: Clock, emit: Emit = silent) -> None:
        self._workers, self._executor, self._clock, self._emit = workers, executor, clock, emit
        self._probes: dict[Worker, Probe] = {}
        self._standstill = Standstill()
        self._looked_at = self._swept_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._looked_at = self._swept_at = monotonic()
        self._task = asyncio.get_running_loop().create_task(self._keep_watch(), name="watchdog")
        self._standstill.start()

    async def stop(self) -> None:
        """Safe without ``start``."""
        self._standstill.stop()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_watch(self) -> None:
        while True:
            try:
                self._look(monotonic())
            except Exception:
                log.exception("looking for blocked loops failed; trying again")
            due = monotonic() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            self._emit(Lagged("http", max(0.0, monotonic() - due)))

    def _look(self, now: float) -> None:
        # If nobody could look, because this loop or the whole process was held up, the others may be innocent.
        passed = min(now - self._looked_at, 1.5 * LOOK_SECONDS)
        self._looked_at = now
        for worker in self._workers.all():
            if not worker.stopping:
                self._look_at(worker, passed)
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self._executor.sweep(now)
        if self._workers.retired:
            self._workers.end_empty(self._executor.loops())
            self._probes = {worker: probe for worker, probe in self._probes.items() if worker in self._workers.all()}

    def _look_at(self, worker: Worker, passed: float) -> None:
        probe = self._probes.setdefault(worker, Probe(worker))
        if probe.is_back:
            if probe.lag:
                self._emit(Lagged("worker", probe.lag))
            if worker.block is not None:
                self._came_back(worker, worker.block)
            probe.send()
        elif probe.stands(passed):
            task = worker.running_task()
            if worker.block is None or worker.block.task is not task:
                worker.block = self._find(worker, task, probe.waited)
                _report(worker.block, probe.waited)
                self._emit(Blocked())
            self._make_way(worker)
        elif worker.block is not None:
            self._make_way(worker)

    def _make_way(self, worker: Worker) -> None:
        if worker is self._workers.current:
            self._workers.replace()
        self._executor.rescue(worker)

    def _find(self, worker: Worker, task: "asyncio.Task[object] | None", waited: float) -> Block:
        runner = self._executor.runner_of(task)
        return Block(
            worker=worker.name,
            agent=runner.agent if runner is not None else None,
            turn_id=runner.turn.id if runner is not None else None,
            attempt=runner.turn.attempt if runner is not None else None,
            stack=worker.stack(),
            since=self._clock() - round(waited * 1_000_000),
            task=task,
        )

    def _came_back(self, worker: Worker, block: Block) -> None:
        seconds = (self._clock() - block.since) / 1_000_000
        log.warning("%s was blocked by %s for %.1f s", block.worker, _culprit(block), seconds, extra=_about(block))
        worker.block = None


def _report(block: Block, waited: float) -> None:
    log.error(
        "%s has been blocked for %.1f s by %s: everything else that runs there waits for it. Its code is here:\n%s",
        block.worker, waited, _culprit(block), block.stack.rstrip(), extra=_about(block),
    )  # fmt: skip


def _about(block: Block) -> Mapping[str, object] | None:
    return about(block.agent, block.turn_id, block.attempt) if block.agent is not None else None


def _culprit(block: Block) -> str:
    return f"turn {block.turn_id} of agent {block.agent}" if block.agent is not None else "code that is no turn's"
