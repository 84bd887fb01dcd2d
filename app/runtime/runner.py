"""One turn, executed: the library runs the user's code, the values and the end go to the log, whatever happens.

A runner lives on a worker loop. Its task runs the user's code and nothing that must not be lost: everything after the
code belongs to the task's done-callback, which no cancellation reaches, not even one before the task's first step.

If that loop is blocked, others act on the runner from outside: before the user's code is entered they may take the turn
to another worker, and later they write its end if that is due; what the runner then writes is refused by the fence.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

from pygents_core.agent import Agent
from pygents_core.turn import StopReason
from pygents_core.turn import Turn as CoreTurn

from .. import failpoints
from ..clock import system_clock
from ..errors import ServiceError
from ..logs.about import answering
from ..model import Begun, Definition, Turn, TurnSpec, TurnStatus
from ..telemetry import Entered
from ..tracing.port import Attempt
from .claiming import Claiming, NotBegun
from .encoding import encode_memory, encode_value
from .entry import Entry
from .equipment import Equipment, new_attempt, new_scribe
from .mailbox import Sender, as_library_error, running_sender
from .marks import about_turn
from .orders import Assignment, Order, StopOrder
from .outcomes import CANCELLED, DamagedTurn, Output, Stop, ToolRemoved, outcome_of
from .scribe import Ending, Scribe
from .stopping import Stopping
from .telling import tell_put
from .translation import core_turn, request_of
from .turn_tasks import TurnTasks

log = logging.getLogger("pygents.runner")


class Moved(Exception):
    """Another worker has the turn: its loop was blocked before the turn's code was entered."""


class Runner:
    """Executes ``turn``; ``begun`` is None for a turn that must hold its tool's lock before it may begin.

    ``began`` is called when such a turn has begun; ``ended`` once, when the code has stopped and the end is written.
    """

    def __init__(
        self,
        turn: Turn,
        definition: Definition,
        begun: Begun | None,
        *,
        equipment: Equipment,
        began: Callable[["Runner"], None],
        ended: Callable[["Runner"], None],
    ) -> None:
        self.turn, self.definition = turn, definition
        self.abandoned = False
        self._kit, self._tell_begun, self._ended = equipment, began, ended
        self.loop = asyncio.get_running_loop()
        self._assignment = Assignment(turn, definition, begun)
        self._entry, self._is_mine = Entry(), False
        self._tasks = TurnTasks()
        self._outside: Scribe | None = None
        self._begun: Begun | None = None
        self._scribe: Scribe | None = None
        self._core: CoreTurn[Any] | None = None
        self._agent: Agent | None = None
        self._output = Output(streaming=False)
        self._ending = Ending(CANCELLED)
        self._values = 0
        self._error: BaseException | None = None
        self._attempt: Attempt | None = None
        self._put: tuple[Agent, CoreTurn[Any]] | None = None
        self._stopping = Stopping()
        self._claiming = Claiming(turn, store=equipment.store, capacity=equipment.capacity)
        if begun is not None:
            self._scribe = self._new_scribe(begun)
        self._task = self.loop.create_task(self._contain(begun), name=f"turn {turn.id} of {definition.name}")
        self._task.add_done_callback(self._code_stopped)

    @property
    def agent(self) -> str:
        return self.definition.name

    @property
    def _about(self) -> Mapping[str, object]:
        return about_turn(self.turn)

    @property
    def has_begun(self) -> bool:
        return self._scribe is not None

    @property
    def is_open(self) -> bool:
        """Whether the turn has begun, and its end is not written."""
        scribe = self._outside or self._scribe
        return scribe is not None and not scribe.has_ended

    @property
    def was_refused(self) -> bool:
        """Whether the store did not let it begin, for now."""
        return isinstance(self._error, ServiceError)

    # --- the user's code ---------------------------------------------------------------------------------------------

    async def _contain(self, begun: Begun | None) -> None:
        """Keep whatever the code raises: a SystemExit that left the task would leave the worker's loop, too."""
        try:
            await self._perform(begun)
        except BaseException as error:
            self._error = error
        if self._tasks:
            await self._end_tasks()
        if self._scribe is None and not isinstance(self._error, NotBegun | asyncio.CancelledError | ServiceError):
            await self._fail_unbegun()

    async def _end_tasks(self) -> None:
        """What the code has started is its code, too: the turn has not ended before that has stopped."""
        self._stopping.leave(self._code_ended())
        left = ", ".join(self._tasks.names())
        log.info("turn %s leaves tasks behind, which are cancelled: %s", self.turn.id, left, extra=self._about)
        await self._tasks.end()

    async def _fail_unbegun(self) -> None:
        """A turn that cannot even be prepared must end as an error, and to end it has to begin."""
        if not self._holds():
            return
        try:
            await self._claim()
        except (NotBegun, ServiceError) as refusal:
            self._error = refusal

    async def _perform(self, begun: Begun | None) -> None:
        if self._kit.tracing is not None:
            self._attempt = await new_attempt(self.turn, self._kit, self._kit.tracing)
        self._check()
        self._core = core = core_turn(self.turn.spec, self.turn.attempt)
        self._agent = agent = self._kit.roster.agent(self.definition)
        self._output = Output(streaming=core.tool.is_streaming)
        if core.tool.memory_parameter is not None:
            self._kit.roster.load_memory(agent, await self._kit.store.read_memory(self.agent))
        if begun is not None:
            self._check_holds()
            self._enter(core, begun)
        async with aclosing(agent.run_turn(core, begin=None if begun is not None else self._begin)) as values:
            async for value in values:
                await self._take(value)
        await self._keep(agent, core)

    async def _begin(self) -> None:
        """The tool's lock is held: the durable begin comes now, before anything of the turn."""
        self._check_holds()
        begun = await self._claim()
        if self._core is not None:
            self._enter(self._core, begun)
        if self._agent is not None and begun.definition != self.definition:
            self.definition = begun.definition
            self._kit.roster.refresh(self._agent, begun.definition)
            self._check()

    def _check(self) -> None:
        """What keeps the code from being executed: it is the turn's error. Its agent may lose the tool meanwhile."""
        if self.turn.damaged:
            raise DamagedTurn("the stored arguments are damaged: they do not fit their checksum, and were not executed")
        if self.turn.spec.tool not in self.definition.tools:
            raise ToolRemoved(f"tool {self.turn.spec.tool!r} was taken from agent {self.agent!r} while the turn waited")

    async def _claim(self) -> Begun:
        """A cancellation that comes meanwhile goes on once it is known whether the turn has begun: then it must end."""
        begun, cancelled = await self._claiming.claim()
        self._scribe = self._new_scribe(begun)
        self._tell_begun(self)
        if cancelled is not None:
            raise cancelled
        return begun

    def _check_holds(self) -> None:
        if not self._holds():
            raise Moved

    def _holds(self) -> bool:
        """Whether the turn is this runner's and not another worker's. Once asked, it stays so."""
        self._is_mine = self._is_mine or self._entry.take()
        return self._is_mine

    def _enter(self, core: CoreTurn[Any], begun: Begun) -> None:
        """From here on the code is this turn's: what it sends is fenced by it, what it starts ends with it."""
        self._tasks.enter()
        if (asker := begun.turn.spec.asker) is not None:
            answering.set(asker.request.encode())
        self._kit.emit(Entered(max(0, system_clock() - (begun.turn.start_time or 0)) / 1_000_000))
        sender = Sender(begun)
        running_sender.set(sender)
        if self._attempt is not None:
            self._attempt.enter(begun.turn)
        core.attempt, core.parent = begun.turn.attempt, begun.turn.spec.parent
        core.root, core.hops = begun.turn.spec.root, begun.turn.spec.hops
        if failpoints.ARMED:
            self.loop.call_soon(failpoints.hit, "mid-tool")

    def _new_scribe(self, begun: Begun) -> Scribe:
        self.turn, self._begun = begun.turn, begun
        return new_scribe(begun, self._kit, lost=self._lost, ended=self._through)

    async def _take(self, value: Any) -> None:
        encoded = encode_value(value, self._values, self._kit.limits)
        self._values += 1
        self._output.add(encoded)
        if self._scribe is not None:
            await self._scribe.value(encoded)

    async def _keep(self, agent: Agent, core: CoreTurn[Any]) -> None:
        """What is committed with the turn's end: its memory, and a turn that the tool returned, checked now."""
        memory = encode_memory(core.memory, self._kit.limits) if core.memory is not None else None
        returned = await self._returned(agent, core.output) if isinstance(core.output, CoreTurn) else None
        self._ending = Ending(CANCELLED, memory, returned)

    async def _returned(self, agent: Agent, turn: CoreTurn[Any]) -> TurnSpec | None:
        sender = running_sender.get()
        if sender is None:
            return None
        await agent.admit(turn)
        request = request_of(turn)
        self._put = (agent, turn)
        try:
            return await self._kit.submission.returned(self.agent, request, sender.lineage(hop=False))
        except ServiceError as error:
            raise as_library_error(error, request.tool) from error

    # --- the ways in from outside (any thread, unless it says otherwise) ---------------------------------------------

    def owns(self, task: "asyncio.Task[Any] | None") -> bool:
        """Whether the task is the turn's code."""
        return task is self._task or task in self._tasks

    def leave(self) -> bool:
        """Whether the code was not entered: it never will be here, another worker may have the turn."""
        if not self._entry.take():
            return False
        self.soon(self._task.cancel)
        return True

    def accepts(self, begun: Begun) -> bool:
        """Whether a turn that waits, and is about to claim, goes on from what somebody else has begun."""
        return self._claiming.accepts(begun)

    def give_way(self) -> None:
        """Wait no longer: another runner has the turn."""
        self.soon(self._task.cancel)

    def orders(self) -> tuple[Order, ...]:
        """What another worker needs to do in this one's place."""
        why = self._stopping.why
        return (self._assignment,) if why is None else (self._assignment, StopOrder(self.turn.id, why))

    def soon(self, callback: Callable[..., object], *args: object) -> None:
        """Call it on the runner's loop, if that is not closed."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback, *args)

    def stop(self, why: Stop) -> None:
        """Ask the code to stop (CancelledError at its next await). The first reason stands."""
        if self._stopping.ask(why):
            self.soon(self._task.cancel)

    def _lost(self) -> None:
        """What the code yields is accepted no more."""
        self._task.cancel()

    def overdue(self, now: float) -> Ending | None:
        """How the turn ends if its code had to stop and has not within the grace. ``now`` is monotonic."""
        core = self._core  # it is gone as soon as the runner is through
        if self._scribe is None or self.abandoned:
            return None
        deadline = core.deadline if core is not None else None
        return self._stopping.overdue(now - self._kit.limits.cancel_grace, deadline, runs=not self._task.done())

    def at_once(self, *, hears: bool) -> Ending | None:
        """How the turn ends if the process is about to; None if by itself. ``hears``: its loop is not blocked."""
        core = self._core
        if self._scribe is None or self.abandoned or (hears and self._task.done()):
            return None
        return self._stopping.at_once(core.deadline if core is not None else None)

    def abandon(self, ending: Ending) -> None:
        """On its loop: end the turn although its code has not stopped."""
        if self._scribe is not None and not self.abandoned and not self._task.done():
            self._give_up(ending)
            self._scribe.abandon(ending)

    def abandon_from_outside(self, ending: Ending) -> None:
        """On another loop, because this one is blocked or the process ends: a scribe of that loop writes the end.

        Whatever this runner writes later is refused, values that it had not handed over included, and its own scribe
        then releases the agent. If the loop comes back and its own end is committed first, the other one is refused.
        """
        if self._begun is not None:
            # In this order: the code may stop meanwhile, and must not take the end for one that its own scribe wrote.
            outside = self._outside = self._new_scribe(self._begun)
            self._give_up(ending)
            outside.abandon(ending)

    def _give_up(self, ending: Ending) -> None:
        self.abandoned = True
        if self._attempt is not None:
            self._attempt.end(self.turn, ending.outcome, None)
        log.warning("turn %s does not stop: agent %s is stuck", self.turn.id, self.agent, extra=self._about)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _through(self, turn: Turn | None) -> None:
        """A returned turn is in the mailbox only if the end that was stored is ``completed``."""
        if self._attempt is not None:
            self._attempt.end(self.turn, self._ending.outcome, turn)
        if self._put is not None and turn is not None and turn.status is TurnStatus.COMPLETED:
            tell_put(*self._put)
        self._ended(self)
        # They know each other, and what the code made: only a garbage collection would find them.
        self._scribe = self._outside = self._core = self._put = self._agent = None

    def _code_stopped(self, task: "asyncio.Task[None]") -> None:
        if not self._holds():
            return
        if self._scribe is None:
            self._ended(self)
        elif self.abandoned and self._outside is None:
            self._scribe.release()
        else:
            self._ending = ending = self._code_ended(task)
            if ending.outcome.status is TurnStatus.ERROR and log.isEnabledFor(logging.DEBUG):  # it may quote arguments
                log.debug("turn %s ends as an error", self.turn.id, exc_info=self._error, extra=self._about)
            self._scribe.finish(ending)
        if not self.was_refused:
            self._error = None  # its traceback holds this runner, and all that the code held

    def _code_ended(self, task: "asyncio.Task[None] | None" = None) -> Ending:
        """``task`` if it is done: one that was cancelled before its first step has no error of its own."""
        error = asyncio.CancelledError() if task is not None and task.cancelled() else self._error
        timed_out = self._core is not None and self._core.stop_reason is StopReason.TIMEOUT
        outcome = outcome_of(error, self._output.encoded(), timed_out=timed_out, stop=self._stopping.why)
        return Ending(outcome, self._ending.memory, self._ending.returned)
