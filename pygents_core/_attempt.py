"""One attempt at a turn: the only place that runs a tool for a turn."""

import asyncio
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from ._deadline import Deadline
from ._drive import HANDOFF, Drive, hand_over
from ._turn_state import StopReason, TurnState
from .errors import WrongRunMethodError
from .hooks import AgentHook, Hook, HookRunner, Hooks, TurnHook, log
from .memory import DEFAULT_LIMIT, WorkingMemory
from .serialization import Arguments, evaluate_arguments

# The attempt whose tool or hook runs here. It is set in the attempt's own context, so tasks that the tool starts
# inherit it, and whoever reads the values never sees it.
CURRENT: ContextVar["Attempt"] = ContextVar("pygents_attempt")

FAILURE_HOOKS: Mapping[StopReason, tuple[TurnHook, AgentHook]] = {
    StopReason.TIMEOUT: (TurnHook.ON_TIMEOUT, AgentHook.ON_TURN_TIMEOUT),
    StopReason.ERROR: (TurnHook.ON_ERROR, AgentHook.ON_TURN_ERROR),
}


# By whether the tool is a generator.
WRONG_KIND = {
    False: "Tool is not an async generator; use returning() for its single value.",
    True: "Tool is an async generator; use yielding() instead.",
}
NO_HOOKS: Mapping[Any, list[Hook]] = {}


class Owner(Protocol):
    """The agent that a turn runs for, as far as an attempt knows it."""

    hooks: Hooks
    hook_timeout: float | None
    memory: WorkingMemory | None


@dataclass(frozen=True, slots=True)
class Mode:
    """What is expected of an attempt."""

    # Which kind of tool; None: either.
    streaming: bool | None
    # Whether the output of a coroutine tool is a value for the reader: one that is a turn, too, or only others.
    yields_output: bool
    yields_turns: bool
    # Whether a guarding hook that fails raises HookFailed instead of its own exception.
    guards: bool
    # Whether the output of a generator is the list of its values; else it is None.
    keeps: bool = True


RETURNING = Mode(streaming=False, yields_output=False, yields_turns=False, guards=False)
YIELDING = Mode(streaming=True, yields_output=False, yields_turns=False, guards=False)
RUN = Mode(streaming=None, yields_output=True, yields_turns=True, guards=False)
# Its values are read by a service, for which a stream may be longer than its memory.
RUN_TURN = Mode(streaming=None, yields_output=True, yields_turns=False, guards=True, keeps=False)


class Attempt:
    """Runs ``turn`` once, by the rules of ``mode``. Not reusable."""

    __slots__ = (
        "_begin",
        "_deadline",
        "_is_running",
        "_mode",
        "_shared",
        "_tool",
        "has_value",
        "owner",
        "turn",
        "value",
    )

    def __init__(
        self,
        turn: TurnState,
        mode: Mode,
        owner: Owner | None = None,
        *,
        begin: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.turn = turn
        # What the reader may have: set before each hand-over, and at the end if there is one more.
        self.value: Any = None
        self.has_value = False
        self._mode = mode
        self._tool = turn._tool
        self.owner = owner
        self._shared = NO_HOOKS if owner is None else owner.hooks
        self._begin = begin
        self._deadline = Deadline(turn._timeout)
        self._is_running = False

    async def start(self) -> Drive:
        """Wait for the tool's lock and for ``begin``, both in the context of the caller; return the drive of the rest.

        If this raises, nothing of the turn has happened, and the lock is free.
        """
        lock = self._tool.lock
        if lock is not None:
            await self._wait_for(lock)
        try:
            if self._begin is not None:
                await self._begin()
            self.turn.start()
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        self._is_running = True
        return Drive(self._run(), self._deadline)

    async def _run(self) -> Any:
        """All that happens once the turn has begun, in its order."""
        CURRENT.set(self)
        turn, deadline, streaming = self.turn, self._deadline, self._tool.is_streaming
        is_value = False
        try:
            if turn._hooks or self._shared:
                await self._before()
            if self._mode.streaming is not None and self._mode.streaming is not streaming:
                raise WrongRunMethodError(WRONG_KIND[streaming])
            turn.deadline = deadline.start()
            try:
                output = await (self._stream() if streaming else self._call())
            except BaseException as error:
                deadline.stop(error)
                raise
            deadline.stop()
            turn.output, turn.stop_reason = output, StopReason.COMPLETED
            if turn._hooks or self._shared:
                await self._tell_turn(TurnHook.AFTER_RUN)
            self._leave()
            is_value = not streaming and self._is_value(output)
            if is_value and self._shared:
                await self._tell_owner(AgentHook.ON_TURN_VALUE, turn, output)
        except BaseException as error:
            await self._fail(error)
            raise
        if turn.memory is not None:
            self._keep(turn.memory)
        self.value, self.has_value = output, is_value
        if self._shared:
            await self._conclude()
        return output

    async def _conclude(self) -> None:
        if self.has_value:
            await hand_over()
            self.has_value = False
        await self._tell_owner(AgentHook.AFTER_TURN, self.turn)

    # -- beginning ----------------------------------------------------------------------------------------------------

    async def _wait_for(self, lock: asyncio.Lock) -> None:
        try:
            await lock.acquire()
        except BaseException:
            if not self.turn.is_running:  # by another attempt, that came first
                self.turn.stop_reason = StopReason.CANCELLED
                self.turn.end()
            raise

    async def _before(self) -> None:
        await self._tell_owner(AgentHook.BEFORE_TURN)
        await self._tell_turn(TurnHook.BEFORE_RUN)

    # -- the tool -----------------------------------------------------------------------------------------------------

    def _call(self) -> Awaitable[Any]:
        args, kwargs = self._arguments()
        return self._tool.call(args, kwargs, self._runner() if self._tool.hooks else None)

    @types.coroutine
    def _stream(self) -> Generator[object, Any, list[Any] | None]:
        """Hand every value over; this is the one loop that runs per value."""
        args, kwargs = self._arguments()
        source = self._tool.stream(args, kwargs, self._runner() if self._tool.hooks else None)
        turn, shared, deadline, step = self.turn, self._shared, self._deadline, source.__anext__
        values: list[Any] | None = [] if self._mode.keeps else None
        kind: type[Any] | None = None  # looked at once: most values are of the same type as the one before
        try:
            while True:
                try:
                    value = yield from step()
                except StopAsyncIteration:
                    return values
                if monotonic() >= deadline.when:
                    raise deadline.over()
                if values is not None:
                    values.append(value)
                if type(value) is not kind:
                    kind = type(value)
                    _refuse_turn(kind)
                if turn._hooks or shared:
                    yield from self._announce(value)
                self.value = value
                yield HANDOFF
        finally:
            deadline.paused = True
            yield from _close(source)

    def _arguments(self) -> Arguments:
        turn = self.turn
        args, kwargs = evaluate_arguments(turn._args, turn._kwargs)
        if self._tool.memory_parameter is not None:
            known = self.owner.memory if self.owner is not None else None
            memory = WorkingMemory(DEFAULT_LIMIT) if known is None else known.branch()
            turn.memory = self._tool.inject(memory, args, kwargs)
        return args, kwargs

    # -- values -------------------------------------------------------------------------------------------------------

    @types.coroutine
    def _announce(self, value: Any) -> Generator[object, Any, None]:
        """Run the hooks of a value; they have a limit of their own."""
        self._deadline.paused = True
        yield from self._tell_turn(TurnHook.ON_VALUE, value)
        yield from self._tell_owner(AgentHook.ON_TURN_VALUE, self.turn, value)
        self._deadline.paused = False

    def _is_value(self, output: Any) -> bool:
        return self._mode.yields_output and (self._mode.yields_turns or not isinstance(output, TurnState))

    # -- ending -------------------------------------------------------------------------------------------------------

    async def _fail(self, error: BaseException) -> None:
        """Record how the turn ended, and tell the hooks of the turn, then, the lock free again, those of the owner."""
        reason = self.turn.stop_reason = self._reason(error)
        details = (error,) if reason is StopReason.ERROR else ()
        turn_kind, owner_kind = FAILURE_HOOKS.get(reason, (None, None))
        try:
            if turn_kind is not None:
                await self._tell_turn(turn_kind, *details)
        finally:
            self._leave()
        if owner_kind is not None:
            await self._tell_owner(owner_kind, self.turn, *details)

    def _reason(self, error: BaseException) -> StopReason:
        if error is self._deadline.error:
            return StopReason.TIMEOUT
        if self._deadline.is_left_by(error):
            return StopReason.CANCELLED
        return StopReason.ERROR  # also a CancelledError of something that the tool awaited

    def _leave(self) -> None:
        """End the turn and free its tool's lock. Once."""
        if not self._is_running:
            return
        self._is_running = False
        self.turn.end()
        if self._tool.lock is not None:
            self._tool.lock.release()

    def _keep(self, memory: WorkingMemory) -> None:
        if self.owner is None:
            return
        if self.owner.memory is None:
            self.owner.memory = memory.branch()
        else:
            self.owner.memory.replace(memory)

    # -- hooks --------------------------------------------------------------------------------------------------------

    def _runner(self) -> HookRunner:
        return HookRunner(limit=None if self.owner is None else self.owner.hook_timeout, wrap=self._mode.guards)

    async def _tell_turn(self, kind: TurnHook, *details: Any) -> None:
        """Run the hooks of the turn: first those that its owner gives to each of its turns, then its own."""
        for table in (self._shared, self.turn._hooks):
            if hooks := table.get(kind):
                await self._runner().fire(kind, hooks, self.turn, *details)

    async def _tell_owner(self, kind: AgentHook, *details: Any) -> None:
        if hooks := self._shared.get(kind):
            await self._runner().fire(kind, hooks, self.owner, *details)


def _refuse_turn(kind: type[Any]) -> None:
    if issubclass(kind, TurnState):
        raise TypeError("A generator tool cannot yield a Turn; put or send it, or return it from a coroutine tool.")


async def _close(source: AsyncGenerator[Any, None]) -> None:
    """Run a generator tool's own cleaning up. If that fails, it cannot change how the turn ends."""
    try:
        await source.aclose()
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        log.error("A generator tool failed while it was closed", exc_info=error)
