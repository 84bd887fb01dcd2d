"""Which turns this node runs: hears what commits made possible and claims agents that have work.

Turns that a commit has begun for this node arrive with the notice of that commit and must be executed. Everything else
in a notice is a hint; a scan of the store every few seconds finds what a lost hint would have left lying.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Literal

from .. import failpoints
from ..clock import Clock
from ..commands import Claim, Claimed, Recover, Starter
from ..draft import is_gone
from ..errors import AgentNotFound, Damaged, ServiceError
from ..logs.about import about
from ..model import TurnStatus
from ..ports import Notice, Store
from .capacity import Capacity
from .catalogue import Catalogue
from .damages import Damages
from .executor import Executor
from .orders import Assignment, Order, StopOrder
from .outcomes import Stop
from .promoter import Promoter
from .quarantine import Quarantine
from .runner import Runner
from .worker import Block

log = logging.getLogger("pygents.dispatcher")

SCAN_SECONDS = 5.0
SCAN_PAGE = 1000
END_SECONDS = 0.5
"""How long the ends of turns whose code has not stopped may take to be written."""
DRAIN_STEP = 0.05
"""How often the drain looks whether the last turn has ended."""


class Dispatcher:
    """Lives on the loop that awaits ``start``; the store may call its listener from any thread."""

    def __init__(
        self,
        *,
        store: Store,
        catalogue: Catalogue,
        capacity: Capacity,
        executor: Executor,
        damages: Damages,
        clock: Clock,
        max_crashes: int,
    ) -> None:
        self._store, self._catalogue = store, catalogue
        self._capacity, self._executor, self._max_crashes = capacity, executor, max_crashes
        self._quarantine = Quarantine(free=lambda agent: self._add_ready((agent,)))
        self._damages = damages
        self._promoter = Promoter(store=store, clock=clock, starting=capacity.starting, damages=damages)
        self._ready: dict[str, None] = {}
        self._claims: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudged = asyncio.Event()
        self._watch: asyncio.Future[None] | None = None
        self._silence: Callable[[], None] = lambda: None
        capacity.freed = self._go_on

    @property
    def draining(self) -> bool:
        return self._capacity.draining

    def trouble(self, agent: str) -> Literal["blocked", "stuck"] | None:
        """What keeps the agent from going on although its turn has ended or cannot."""
        return self._executor.trouble(agent)

    @property
    def exhausted(self) -> bool:
        """Whether code that blocks its event loop has as many workers as there may be."""
        return self._executor.exhausted

    def running(self) -> int:
        """How many turns have begun and not ended."""
        return len(self._executor.running())

    def blocks(self) -> tuple[Block, ...]:
        """Which code blocks its event loop right now: whose it is, where it is, since when."""
        return self._executor.blocks()

    def waits_for_lock(self, turn_id: str) -> bool:
        return self._executor.waits_for_lock(turn_id)

    # --- start and end -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover what a former process left running, then take up everything that waits."""
        self._loop = asyncio.get_running_loop()
        self._silence = self._store.listen(self._hear)
        self._executor.start(self._runner_ended)
        if failpoints.ARMED:
            failpoints.hit("before-recovery")
        for name in await self._store.owned_agents():
            with self._capacity.starting() as starter, self._damages.outlived(name):
                await self._store.execute(Recover(name, starter, self._max_crashes))
            if failpoints.ARMED:
                failpoints.hit("in-recovery")
        self._watch = self._loop.create_task(self._keep_watch(), name="dispatcher")

    async def drain(self, seconds: float, grace: float) -> None:
        """Begin nothing more; let turns end for ``seconds``, then stop them and give their code ``grace`` seconds.

        Those whose code has not stopped then are ended or put back all the same, before the process takes it along.
        """
        self._capacity.draining = True
        await self._idle(seconds, lambda left: None)
        told: set[str] = set()
        await self._idle(grace, partial(self._tell_to_stop, told))
        self._executor.give_up()
        await self._idle(END_SECONDS, lambda left: None)

    def _tell_to_stop(self, told: set[str], left: Collection[str]) -> None:
        """Each once: a turn may have begun after the others were told."""
        self._executor.assign(*(StopOrder(turn_id, Stop.DRAIN) for turn_id in left if turn_id not in told))
        told.update(left)

    async def close(self) -> None:
        self._capacity.draining = True
        self._quarantine.close()
        left = {*self._claims, *([self._watch] if self._watch is not None else [])}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        await self._executor.stop()
        self._silence()

    async def _idle(self, seconds: float, meanwhile: Callable[[Collection[str]], None]) -> None:
        """Wait until nothing runs and nothing may begin; ``meanwhile`` is told what is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._capacity.reserved or self._executor.running():
                    meanwhile(self._executor.running())
                    await asyncio.sleep(DRAIN_STEP)

    # --- what commits tell (any thread) ------------------------------------------------------------------------------

    def _hear(self, notice: Notice) -> None:
        orders: list[Order] = [Assignment(begun.turn, begun.definition, begun) for begun in notice.begun]
        orders += [StopOrder(ref.id, Stop.CANCEL) for ref in notice.cancelling]
        orders += [
            StopOrder(turn.id, Stop.CANCEL)
            for turn in notice.ended
            if turn.status is TurnStatus.CANCELLED and self._executor.waits_for_lock(turn.id)
        ]
        if failpoints.ARMED and notice.begun:
            failpoints.hit("after-begin")
        if orders:
            self._executor.assign(*orders)
        if notice.ready:
            self._on_loop(partial(self._add_ready, tuple(notice.ready)))
        if notice.scheduled:
            self._on_loop(self._nudged.set)

    def _runner_ended(self, runner: Runner) -> None:
        """On the worker's thread. A place is free; an agent whose turn did not get to begin may have another.

        Not at once, if the store refused: the next scan finds it.
        """
        if self._quarantine.inside == runner.agent:
            self._on_loop(partial(self._quarantine.leave, runner.agent))
        names = () if runner.has_begun or runner.was_refused else (runner.agent,)
        if names or self._ready:
            self._on_loop(partial(self._add_ready, names))

    def _go_on(self) -> None:
        """A place was reserved, perhaps for nothing: agents that found none may have it."""
        if self._ready:
            self._on_loop(partial(self._add_ready, ()))

    def _on_loop(self, callback: Callable[[], Any]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the process is ending
                self._loop.call_soon_threadsafe(callback)

    # --- claims ------------------------------------------------------------------------------------------------------

    def _add_ready(self, names: tuple[str, ...]) -> None:
        self._ready.update(dict.fromkeys(name for name in names if name not in self._damages))
        for name in tuple(islice(self._ready, max(0, self._capacity.free))):
            del self._ready[name]
            if not self._executor.waits_with(name):
                claim = asyncio.ensure_future(self._claim(name))
                self._claims.add(claim)
                claim.add_done_callback(self._claims.discard)
        self._capacity.crowded = bool(self._ready)

    async def _claim(self, name: str) -> None:
        with self._capacity.starting() as starter, self._damages.outlived(name):
            if starter is None:
                self._ready[name] = None
                return
            try:
                claimed = await self._store.execute(Claim(name, starter))
                if claimed.next is not None and claimed.next.crashes:
                    await self._claim_suspect(name, starter)
                    return
            except Damaged:
                raise
            except AgentNotFound:  # deleted in the meantime
                return
            except ServiceError as error:
                log.warning("agent %s could not be claimed: %s", name, error, extra=about(name))
                return
            self._wait_for_lock(claimed, starter)

    async def _claim_suspect(self, name: str, starter: Starter) -> None:
        """Its next turn was running when a process ended. A lock is waited for within the quarantine."""
        if not self._quarantine.admit(name):
            return
        try:
            claimed = await self._store.execute(Claim(name, starter._replace(suspects=True)))
        except BaseException:
            self._quarantine.leave(name)
            raise
        if claimed.begun is None and not self._wait_for_lock(claimed, starter):
            self._quarantine.leave(name)

    def _wait_for_lock(self, claimed: Claimed, starter: Starter) -> bool:
        """A turn that could not begin waits for its tool's lock; one whose tool or agent is not here waits on."""
        turn, definition = claimed.next, claimed.definition
        if turn is None or definition is None or is_gone(definition, starter.code_agents):
            return False
        tool = self._catalogue.tool(turn.spec.tool)
        if tool is None or tool.lock is None:
            return False
        self._executor.assign(Assignment(turn, definition, None))
        return True

    # --- time --------------------------------------------------------------------------------------------------------

    async def _keep_watch(self) -> None:
        """Let scheduled turns join their mailboxes when they are due, and look for work that no hint told of."""
        while True:
            looks = (self._promoter.check_clock, self._promoter.promote, self._scan)
            due_in = min([SCAN_SECONDS, *[await self._try(look) for look in looks]])
            self._nudged.clear()
            with suppress(TimeoutError):  # no wait_for: up to Python 3.11 it may swallow a cancellation
                async with asyncio.timeout(due_in):
                    await self._nudged.wait()

    async def _try(self, look: Callable[[], Awaitable[float]]) -> float:
        """One that fails must not keep the others from looking. In how many seconds it wants to look again."""
        try:
            return await look()
        except Exception:
            log.exception("looking for work failed; trying again")
            return SCAN_SECONDS

    async def _scan(self) -> float:
        """All of them: the first page may be agents that cannot begin."""
        after = ""
        while names := await self._store.ready_agents(SCAN_PAGE, after):
            self._add_ready(tuple(names))
            after = names[-1]
        return SCAN_SECONDS
