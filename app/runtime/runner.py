"""One turn, executed: the library runs it, its values go to the log, its end is written whatever happens.

A runner lives on a worker loop. Its task runs the user's code and nothing that must not be lost: everything after the
code (last values, terminal event, memory, the next turn) belongs to the task's done-callback and to callbacks of the
store's futures, which no cancellation reaches, not even one before the task's first step.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NamedTuple

from pygents_core.errors import NotJsonError
from pygents_core.serialization import dumps
from pygents_core.turn import Turn as CoreTurn

from ..commands import Claim, Finish, Release
from ..errors import StoreFull, Unavailable
from ..model import Begun, Definition, Outcome, Turn, TurnSpec
from ..ports import Store
from .capacity import Capacity
from .catalogue import Catalogue
from .mailbox import Sender, running_sender
from .outbox import RETRY_SECONDS, Outbox
from .outcomes import CANCELLED, DRAINED, TIMED_OUT, Output, Stop, ValueRefused, outcome_of
from .roster import Roster
from .submission import Submission
from .translation import core_turn, request_of

log = logging.getLogger("pygents.runner")


class Limits(NamedTuple):
    """``cancel_grace`` in seconds, ``value_bytes`` of JSON, ``mailbox`` in turns."""

    cancel_grace: float = 10.0
    value_bytes: int = 256 * 1024
    values: int = 100_000
    mailbox: int = 1000


class Equipment(NamedTuple):
    """What all runners of a process share."""

    store: Store
    catalogue: Catalogue
    roster: Roster
    submission: Submission
    capacity: Capacity
    limits: Limits


class NotBegun(Exception):
    """The turn was cancelled, or its agent paused, while it waited for its tool's lock."""


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
        self.turn, self.definition, self.begun = turn, definition, begun
        self._began, self._ended = began, ended
        self.abandoned = False
        self._held = False
        self._kit = equipment
        self._loop = asyncio.get_running_loop()
        self._outbox: Outbox | None = None
        self._core: CoreTurn | None = None
        self._memory: bytes | None = None
        self._returned: TurnSpec | None = None
        self._output = Output(streaming=False)
        self._values = 0
        self._stop: Stop | None = None
        self._stop_at: float | None = None
        if begun is not None:
            self._equip(begun)
        self._task = self._loop.create_task(self._perform(), name=f"turn {turn.id} of {definition.name}")
        self._task.add_done_callback(self._code_stopped)

    @property
    def agent(self) -> str:
        return self.definition.name

    # --- the user's code ---------------------------------------------------------------------------------------------

    async def _perform(self) -> None:
        if self.begun is not None:
            running_sender.set(Sender(self.begun))
        self._core = core = core_turn(self.turn.spec, self.turn.attempt)
        agent = self._kit.roster.agent(self.definition)
        tool = self._kit.catalogue.tool(self.turn.spec.tool)
        assert tool is not None
        self._output = Output(streaming=tool.is_streaming)
        if tool.memory_parameter is not None:
            self._kit.roster.load_memory(agent, await self._kit.store.read_memory(self.agent))
        begin = None if self.begun is not None else self._begin
        async with aclosing(agent.run_turn(core, begin=begin)) as values:
            async for value in values:
                await self._take(value)
        if tool.memory_parameter is not None:
            self._memory = dumps(agent.memory.items if agent.memory is not None else [])
        if isinstance(core.output, CoreTurn):
            await self._take_returned(core.output)

    async def _begin(self) -> None:
        """The tool's lock is held: the durable begin comes now, before anything of the turn."""
        starter = self._kit.capacity.holding(self.turn.spec.tool)
        claimed = await self._kit.store.execute(Claim(self.agent, starter, self.turn.id))
        if claimed.begun is None:
            raise NotBegun
        self._equip(claimed.begun)
        self._began(self)
        running_sender.set(Sender(claimed.begun))
        if self._core is not None:
            self._core.attempt = self.turn.attempt

    def _equip(self, begun: Begun) -> None:
        self.begun, self.turn = begun, begun.turn
        self._outbox = Outbox(begun, store=self._kit.store, lost=self._lost)

    async def _take(self, value: Any) -> None:
        assert self._outbox is not None
        self._values += 1
        if self._values > self._kit.limits.values:
            raise ValueRefused("too_many_values", f"A turn may yield {self._kit.limits.values} values.")
        encoded = self._encode(value)
        self._output.add(encoded)
        await self._outbox.put(encoded)

    def _encode(self, value: Any) -> bytes:
        index, limit = self._values - 1, self._kit.limits.value_bytes
        try:
            encoded = dumps(value)
        except NotJsonError as error:
            raise ValueRefused("not_json", f"Value {index} cannot be written as JSON: {error}") from error
        if len(encoded) > limit:
            raise ValueRefused("too_large", f"Value {index} has {len(encoded)} bytes of JSON; the limit is {limit}.")
        return encoded

    async def _take_returned(self, returned: CoreTurn) -> None:
        """A turn that the tool returned is checked now; the transaction of this turn's end enqueues it."""
        assert self.begun is not None
        lineage = Sender(self.begun).lineage(hop=False)
        self._returned = await self._kit.submission.returned(self.agent, request_of(returned), lineage)

    # --- the ways in from outside ------------------------------------------------------------------------------------

    def stop(self, why: Stop) -> None:
        """Ask the code to stop (CancelledError at its next await). The first reason stands."""
        if self._stop is None:
            self._stop, self._stop_at = why, self._loop.time()
            self._task.cancel()

    def sweep(self, now: float) -> None:
        """End the turn from outside if its code had to stop and has not within the grace. ``now``: the loop's time."""
        outcome = self._overdue(now - self._kit.limits.cancel_grace)
        if outcome is not None and self.begun is not None and not self.abandoned:
            self.abandoned = True
            log.warning("turn %s of agent %s does not stop: the agent is stuck", self.turn.id, self.agent)
            self._finish(outcome, hold=True)

    def _overdue(self, since: float) -> Outcome | None:
        if self._task.done():
            return None
        if self._stop_at is not None and self._stop_at < since:
            return CANCELLED if self._stop is Stop.CANCEL else DRAINED
        deadline = self._core.deadline if self._core is not None else None
        return TIMED_OUT if deadline is not None and deadline < since else None

    def _lost(self) -> None:
        """Another owner has the agent, or the turn was ended from outside: nothing that the code does is accepted."""
        self._task.cancel()

    # --- the end -----------------------------------------------------------------------------------------------------

    def _code_stopped(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self.begun is None:
            if not isinstance(error, NotBegun | asyncio.CancelledError):
                log.error("turn %s of agent %s could not begin", self.turn.id, self.agent, exc_info=error)
            self._ended(self)
        elif self.abandoned:
            if self._held:
                self._release()
        else:
            self._finish(outcome_of(error, self._output.encoded(), self._stop), hold=False)

    def _finish(self, outcome: Outcome, *, hold: bool) -> None:
        """Write the end after the values that are under way; retry for as long as the store has no space."""
        assert self._outbox is not None
        self._outbox.close(lambda values: self._execute(self._finish_command(outcome, values, hold=hold)))

    def _finish_command(self, outcome: Outcome, values: tuple[bytes, ...], *, hold: bool) -> Finish:
        assert self.begun is not None
        return Finish(
            agent=self.agent,
            turn_id=self.turn.id,
            fence=self.begun.fence,
            outcome=outcome,
            values=values,
            memory=self._memory,
            returned=self._returned,
            mailbox_limit=self._kit.limits.mailbox,
            starter=self._kit.capacity.following(),
            hold=hold,
        )

    def _release(self) -> None:
        assert self.begun is not None
        self._execute(Release(self.agent, self.begun.fence, self._kit.capacity.following()))

    def _execute(self, command: Finish | Release) -> None:
        future: asyncio.Future[Any] = self._kit.store.execute(command)
        future.add_done_callback(lambda done: self._answered(command, done))

    def _answered(self, command: Finish | Release, done: asyncio.Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, StoreFull | Unavailable):
            self._loop.call_later(RETRY_SECONDS, self._execute, command)
            return
        if error is not None:
            log.error("the end of turn %s of agent %s was not accepted: %s", self.turn.id, self.agent, error)
        if isinstance(command, Finish) and command.hold:
            self._held = True
            if self._task.done():
                self._release()
        else:
            self._ended(self)
