"""Whose cancellation it was: the turn's time, somebody else's, one of the tool's own. On each loop, for both kinds."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import anyio
import pytest
import uvloop

from pygents_core import StopReason, Tool, Turn, TurnHook, TurnTimeoutError, tool
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

NEVER = 3600.0
SOON = 0.03
LATE = 2.0

Code: TypeAlias = Callable[[], Awaitable[object]]


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    if request.param:
        uvloop.new_event_loop().close()  # the first opens a pipe for the whole process, which is no test's leak
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(params=["coroutine", "generator"])
def make(request: pytest.FixtureRequest) -> Callable[..., Turn[Any]]:
    """Makes a turn whose tool is ``code``."""

    def make(code: Code, *, timeout: float | None = NEVER) -> Turn[Any]:
        made: Tool
        if request.param == "coroutine":

            @tool
            async def does() -> object:
                return await code()

            made = does
        else:

            @tool
            async def streams() -> AsyncGenerator[object, None]:
                yield "first"
                yield await code()

            made = streams
        return Turn(made, timeout=timeout)

    return make


async def run(turn: Turn[Any]) -> object:
    """Run it to its end; return its last value."""
    if not turn.tool.is_streaming:
        return await turn.returning()
    return [value async for value in turn.yielding()][-1]


async def ended(turn: Turn[Any], *cancelled_at: asyncio.Event) -> StopReason | None:
    """Run it in a task that is cancelled at each event, and say how it ended; what it raises must say the same."""
    running = asyncio.create_task(run(turn))
    for event in cancelled_at:
        await event.wait()
        running.cancel()
    await asyncio.wait([running])
    return reason_of(turn, running)


def reason_of(turn: Turn[Any], running: "asyncio.Task[object]") -> StopReason | None:
    if turn.stop_reason is StopReason.CANCELLED:
        assert running.cancelled()
    if turn.stop_reason is StopReason.ERROR:
        assert running.cancelled() or isinstance(running.exception(), ValueError)
    if turn.stop_reason is StopReason.TIMEOUT:
        assert isinstance(running.exception(), TurnTimeoutError)
    return turn.stop_reason


async def forever() -> None:
    await asyncio.Event().wait()


async def too_long() -> None:
    """Not for ever: should the end of its time come with something else that the tool swallows, it is told once."""
    await asyncio.sleep(LATE)


async def fail() -> None:
    raise ValueError


async def await_a_cancelled_future() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    await future


async def raise_a_ring() -> None:
    with suppress(asyncio.CancelledError):
        await too_long()
    one, other = asyncio.CancelledError(), asyncio.CancelledError()
    one.__context__, other.__context__ = other, one
    raise one


# -- what takes its own cancellations back ----------------------------------------------------------------------------


async def inner_timeout() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await forever()


async def two_inner_timeouts_at_once() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0), asyncio.timeout(0):
            await forever()


async def wait_for() -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(forever(), 0.001)


async def move_on_after() -> None:
    with anyio.move_on_after(0):
        await forever()


async def fail_after() -> None:
    with suppress(TimeoutError):
        with anyio.fail_after(0):
            await forever()


async def cancelled_scope_that_cleans_up() -> None:
    with anyio.CancelScope() as scope:
        try:
            scope.cancel()
            await forever()
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(0)


async def failed_anyio_group() -> None:
    with suppress(ExceptionGroup):
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            await forever()


async def failed_group_while_its_body_waits() -> None:
    with suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await forever()


async def inner_turn() -> None:
    @tool
    async def waits() -> None:
        await forever()

    with suppress(TurnTimeoutError):
        await Turn[None](waits, timeout=0.001).returning()


async def cancelled_future() -> None:
    with suppress(asyncio.CancelledError):
        await await_a_cancelled_future()


async def failed_group_after_its_body() -> None:
    """Leaves ``cancelling()`` at 1 on Python 3.11 and 3.12."""
    with suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())
            group.create_task(fail())


SETTLED: list[Code] = [
    inner_timeout,
    two_inner_timeouts_at_once,
    wait_for,
    move_on_after,
    fail_after,
    cancelled_scope_that_cleans_up,
    failed_anyio_group,
    failed_group_while_its_body_waits,
    inner_turn,
    cancelled_future,
]
BEFORE = pytest.mark.parametrize("before", [*SETTLED, failed_group_after_its_body], ids=lambda code: code.__name__)


class TestAfterOneOfTheToolsOwn:
    @BEFORE
    async def test_the_time_is_over(self, make: Callable[..., Turn[Any]], before: Code) -> None:
        async def code() -> None:
            await before()
            await too_long()

        assert await ended(make(code, timeout=SOON)) is StopReason.TIMEOUT

    @BEFORE
    async def test_and_the_cancellation_is_swallowed(self, make: Callable[..., Turn[Any]], before: Code) -> None:
        async def code() -> str:
            await before()
            with suppress(asyncio.CancelledError):
                await too_long()
            return "late"

        assert await ended(make(code, timeout=SOON)) is StopReason.TIMEOUT

    @BEFORE
    async def test_somebody_else_cancels(self, make: Callable[..., Turn[Any]], before: Code) -> None:
        waits = asyncio.Event()

        async def code() -> None:
            await before()
            waits.set()
            await forever()

        assert await ended(make(code), waits) is StopReason.CANCELLED

    @pytest.mark.parametrize("before", SETTLED, ids=lambda code: code.__name__)
    async def test_a_future_that_it_awaits_is_cancelled(self, make: Callable[..., Turn[Any]], before: Code) -> None:
        async def code() -> None:
            await before()
            await await_a_cancelled_future()

        assert await ended(make(code)) is StopReason.ERROR

    @BEFORE
    async def test_it_completes(self, make: Callable[..., Turn[Any]], before: Code) -> None:
        assert await ended(make(before)) is StopReason.COMPLETED


class TestTheTimeIsOver:
    async def test_while_the_tool_handles_a_timeout_of_its_own(self, make: Callable[..., Turn[Any]]) -> None:
        async def code() -> None:
            try:
                async with asyncio.timeout(0):
                    await forever()
            except TimeoutError:
                await forever()

        assert await ended(make(code, timeout=SOON)) is StopReason.TIMEOUT

    @pytest.mark.parametrize("body_waits", [False, True])
    async def test_while_it_handles_a_failed_group(self, make: Callable[..., Turn[Any]], body_waits: bool) -> None:
        async def code() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    if body_waits:
                        await forever()
            except* ValueError:
                await forever()

        assert await ended(make(code, timeout=SOON)) is StopReason.TIMEOUT

    async def test_in_a_scope_whose_time_is_over_then_too(self, make: Callable[..., Turn[Any]]) -> None:
        async def code() -> None:
            asyncio.get_running_loop().call_soon(time.sleep, 2 * SOON)
            async with asyncio.timeout(SOON):
                await forever()

        assert await ended(make(code, timeout=SOON)) is StopReason.TIMEOUT

    async def test_after_the_reader_swallowed_a_cancellation(self) -> None:
        @tool
        async def numbers() -> AsyncGenerator[int, None]:
            yield 1
            await forever()

        turn, reads = Turn[int](numbers, timeout=SOON), asyncio.Event()

        async def read() -> None:
            async for _ in turn.yielding():
                reads.set()
                with suppress(asyncio.CancelledError):
                    await forever()

        running = asyncio.create_task(read())
        await reads.wait()
        running.cancel()
        await asyncio.wait([running])
        assert reason_of(turn, running) is StopReason.TIMEOUT

    async def test_and_a_later_scope_of_the_caller_works(self, make: Callable[..., Turn[Any]]) -> None:
        with pytest.raises(TurnTimeoutError):
            await run(make(forever, timeout=0.001))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await forever()


class TestSomebodyElseCancels:
    async def test_in_an_inner_scope(self, make: Callable[..., Turn[Any]]) -> None:
        waits = asyncio.Event()

        async def code() -> None:
            async with asyncio.timeout(NEVER), asyncio.TaskGroup():
                with anyio.fail_after(NEVER):
                    waits.set()
                    await forever()

        assert await ended(make(code), waits) is StopReason.CANCELLED

    @pytest.mark.parametrize("cancel_at", [SOON / 2, SOON * 2])
    async def test_at_the_moment_when_the_time_is_over(self, make: Callable[..., Turn[Any]], cancel_at: float) -> None:
        """Both timers are due when the loop looks again; the one that was set for earlier goes first."""

        async def code() -> None:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None
            loop.call_later(cancel_at, task.cancel)
            loop.call_soon(time.sleep, SOON * 3)
            await forever()

        assert await ended(make(code, timeout=SOON)) is StopReason.CANCELLED

    @pytest.mark.parametrize("timeout", [NEVER, SOON])
    @pytest.mark.parametrize("clean_up", [inner_timeout, move_on_after, cancelled_future])
    async def test_while_it_cleans_up_its_own_scopes_and_its_time_change_nothing(
        self, make: Callable[..., Turn[Any]], clean_up: Code, timeout: float
    ) -> None:
        waits = asyncio.Event()

        async def code() -> None:
            try:
                waits.set()
                await forever()
            finally:
                await clean_up()
                if timeout == SOON:
                    await too_long()

        assert await ended(make(code, timeout=timeout), waits) is StopReason.CANCELLED

    @pytest.mark.parametrize("timeout", [NEVER, SOON])
    @pytest.mark.parametrize("swallows", [False, True])
    async def test_twice(self, make: Callable[..., Turn[Any]], swallows: bool, timeout: float) -> None:
        """The second comes while it cleans up after the first; so does, perhaps, the end of its time."""
        steps = [asyncio.Event(), asyncio.Event()]

        async def code() -> None:
            try:
                steps[0].set()
                await forever()
            finally:
                with suppress(*([asyncio.CancelledError] if swallows else [])):
                    steps[1].set()
                    await forever()
                if timeout == SOON:
                    await too_long()

        assert await ended(make(code, timeout=timeout), *steps) is StopReason.CANCELLED

    async def test_twice_at_once(self, make: Callable[..., Turn[Any]]) -> None:
        turn = make(forever)
        running = asyncio.create_task(run(turn))
        await eventually(lambda: turn.is_running)
        running.cancel()
        running.cancel()
        await asyncio.wait([running])
        assert reason_of(turn, running) is StopReason.CANCELLED

    async def test_while_it_cleans_up_after_its_time(self, make: Callable[..., Turn[Any]]) -> None:
        cleans = asyncio.Event()

        async def code() -> None:
            try:
                await forever()
            finally:
                cleans.set()
                await forever()

        assert await ended(make(code, timeout=SOON), cleans) is StopReason.CANCELLED

    @pytest.mark.parametrize("suspends_first", [False, True])
    async def test_the_tool_itself(self, make: Callable[..., Turn[Any]], suspends_first: bool) -> None:
        async def code() -> None:
            if suspends_first:
                await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await forever()

        assert await ended(make(code)) is StopReason.CANCELLED

    async def test_while_a_hook_is_told_of_the_end(self, make: Callable[..., Turn[Any]]) -> None:
        told = asyncio.Event()

        async def slow(_: Turn[Any]) -> None:
            told.set()
            await forever()

        turn = make(inner_timeout)
        turn.add_hook(TurnHook.AFTER_RUN, slow)
        assert await ended(turn, told) is StopReason.CANCELLED


class TestAToolThatCatchesIt:
    """What somebody else's cancellation becomes is then its own choice, within its time."""

    @pytest.mark.parametrize(
        ("then", "reason"),
        [
            (inner_timeout, StopReason.COMPLETED),
            (fail, StopReason.ERROR),
            (await_a_cancelled_future, StopReason.CANCELLED),  # who can tell
            (too_long, StopReason.TIMEOUT),
            (raise_a_ring, StopReason.TIMEOUT),
        ],
    )
    async def test_ends_as_it_likes(self, make: Callable[..., Turn[Any]], then: Code, reason: StopReason) -> None:
        waits = asyncio.Event()

        async def code() -> object:
            with suppress(asyncio.CancelledError):
                waits.set()
                await forever()
            await then()
            return "done"

        assert await ended(make(code, timeout=SOON if reason is StopReason.TIMEOUT else NEVER), waits) is reason
