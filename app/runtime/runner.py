"""One turn, executed: the library runs the user's code, the values and the end go to the log, whatever happens.

A runner lives on a worker loop. Its task runs the user's code and nothing that must not be lost: everything after the
code belongs to the task's done-callback, which no cancellation reaches, not even one before the task's first step.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from time import monotonic
from typing import Any, NamedTuple

from pygents_core.agent import Agent
from pygents_core.turn import StopReason
from pygents_core.turn import Turn as CoreTurn

from ..commands import Claim
from ..errors import ServiceError
from ..model import Begun, Definition, Outcome, Turn, TurnSpec, TurnStatus
from ..ports import Store
from .capacity import Capacity
from .encoding import Limits, encode_memory, encode_value
from .mailbox import Sender, as_library_error, running_sender
from .outcomes import CANCELLED, DRAINED, TIMED_OUT, DamagedTurn, Output, Stop, ToolRemoved, outcome_of
from .roster import Roster
from .scribe import Ending, Scribe
from .submission import Submission
from .translation import core_turn, request_of

log = logging.getLogger("pygents.runner")

_background: set[asyncio.Task[None]] = set()
"""Hooks that run after a turn's end: the event loop alone would let them be collected."""


class Equipment(NamedTuple):
    """What all runners of a process share."""

    store: Store
    roster: Roster
    submission: Submission
    capacity: Capacity
    limits: Limits


class NotBegun(Exception):
    """While it waited for its tool's lock, the turn was cancelled, its agent paused, or the service began to drain."""


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
        self._kit, self._began, self._ended = equipment, began, ended
        self._loop = asyncio.get_running_loop()
        self._scribe: Scribe | None = None
        self._core: CoreTurn[Any] | None = None
        self._output = Output(streaming=False)
        self._ending = Ending(CANCELLED)
        self._values = 0
        self._error: BaseException | None = None
        self._put: tuple[Agent, CoreTurn[Any]] | None = None
        self._stop: Stop | None = None
        self._stop_at: float | None = None
        if begun is not None:
            self._scribe = self._new_scribe(begun)
        self._task = self._loop.create_task(self._contain(begun), name=f"turn {turn.id} of {definition.name}")
        self._task.add_done_callback(self._code_stopped)

    @property
    def agent(self) -> str:
        return self.definition.name

    @property
    def has_begun(self) -> bool:
        return self._scribe is not None

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
        if self._scribe is None and not isinstance(self._error, NotBegun | asyncio.CancelledError | ServiceError):
            await self._fail_unbegun()

    async def _fail_unbegun(self) -> None:
        """A turn that cannot even be prepared must end as an error, and to end it has to begin."""
        try:
            await self._claim()
        except (NotBegun, ServiceError) as refusal:
            self._error = refusal

    async def _perform(self, begun: Begun | None) -> None:
        if self.turn.damaged:
            raise DamagedTurn("the stored arguments are damaged: they do not fit their checksum, and were not executed")
        if self.turn.spec.tool not in self.definition.tools:
            raise ToolRemoved(f"tool {self.turn.spec.tool!r} was taken from agent {self.agent!r} while the turn waited")
        self._core = core = core_turn(self.turn.spec, self.turn.attempt)
        agent = self._kit.roster.agent(self.definition)
        self._output = Output(streaming=core.tool.is_streaming)
        if core.tool.memory_parameter is not None:
            self._kit.roster.load_memory(agent, await self._kit.store.read_memory(self.agent))
        if begun is not None:
            self._enter(core, begun)
        async with aclosing(agent.run_turn(core, begin=None if begun is not None else self._begin)) as values:
            async for value in values:
                await self._take(value)
        await self._keep(agent, core)

    async def _begin(self) -> None:
        """The tool's lock is held: the durable begin comes now, before anything of the turn."""
        begun = await self._claim()
        if self._core is not None:
            self._enter(self._core, begun)

    async def _claim(self) -> Begun:
        """Raises NotBegun if the turn may not begin (any more), ServiceError if the store refuses."""
        starter = self._kit.capacity.holding(self.turn.spec.tool)
        if starter is None:
            raise NotBegun
        claimed = await self._kit.store.execute(Claim(self.agent, starter, self.turn.id))
        if claimed.begun is None:
            raise NotBegun
        self._scribe = self._new_scribe(claimed.begun)
        self._began(self)
        return claimed.begun

    def _enter(self, core: CoreTurn[Any], begun: Begun) -> None:
        """From here on the code is this turn's: what it sends is fenced by it."""
        sender = Sender(begun)
        running_sender.set(sender)
        core.attempt, core.parent = begun.turn.attempt, begun.turn.spec.parent
        core.root, core.hops = begun.turn.spec.root, begun.turn.spec.hops

    def _new_scribe(self, begun: Begun) -> Scribe:
        self.turn = begun.turn
        return Scribe(
            begun,
            store=self._kit.store,
            capacity=self._kit.capacity,
            mailbox_limit=self._kit.limits.mailbox,
            lost=self._lost,
            ended=self._through,
        )

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

    # --- the ways in from outside ------------------------------------------------------------------------------------

    def stop(self, why: Stop) -> None:
        """Ask the code to stop (CancelledError at its next await). The first reason stands."""
        if self._stop is None:
            self._stop, self._stop_at = why, monotonic()
            self._task.cancel()

    def _lost(self) -> None:
        """What the code yields is accepted no more."""
        self._task.cancel()

    def sweep(self, now: float) -> None:
        """End the turn from outside if its code had to stop and has not within the grace. ``now`` is monotonic."""
        outcome = self._overdue(now - self._kit.limits.cancel_grace)
        if outcome is not None and self._scribe is not None and not self.abandoned:
            self.abandoned = True
            log.warning("turn %s does not stop: agent %s is stuck", self.turn.id, self.agent)
            self._scribe.abandon(outcome)

    def _overdue(self, since: float) -> Outcome | None:
        if self._task.done():
            return None
        if self._stop_at is not None and self._stop_at < since:
            return CANCELLED if self._stop is Stop.CANCEL else DRAINED
        deadline = self._core.deadline if self._core is not None else None
        return TIMED_OUT if deadline is not None and deadline < since else None

    # --- the end -----------------------------------------------------------------------------------------------------

    def _through(self, turn: Turn | None) -> None:
        """A returned turn is in the mailbox only if the end that was stored is ``completed``."""
        if self._put is not None and turn is not None and turn.status is TurnStatus.COMPLETED:
            telling = self._loop.create_task(self._put[0].tell_put(self._put[1]))
            _background.add(telling)
            telling.add_done_callback(_background.discard)
        self._ended(self)
        # They know each other, and what the code made: only a garbage collection would find them.
        self._scribe = self._core = self._put = None

    def _code_stopped(self, task: "asyncio.Task[None]") -> None:
        error = asyncio.CancelledError() if task.cancelled() else self._error
        if self._scribe is None:
            self._ended(self)
        elif self.abandoned:
            self._scribe.release()
        else:
            timed_out = self._core is not None and self._core.stop_reason is StopReason.TIMEOUT
            outcome = outcome_of(error, self._output.encoded(), timed_out=timed_out, stop=self._stop)
            self._scribe.finish(self._ending._replace(outcome=outcome))
        if not self.was_refused:
            self._error = None  # its traceback holds this runner, and all that the code held
