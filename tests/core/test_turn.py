import asyncio
import contextvars
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_core import (
    HookRegistry,
    NotRunningError,
    SafeExecutionError,
    StopReason,
    Tool,
    Turn,
    TurnHook,
    TurnTimeoutError,
    UnregisteredHookError,
    UnregisteredToolError,
    WorkingMemory,
    WrongRunMethodError,
    current_agent,
    current_turn,
    dynamic,
    tool,
)
from pygents_core.testing import RecordingHooks, isolated_registries, scripted_tool
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

NEVER = 3600.0
TIME = datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1)))


class SpecialTurn(Turn[Any]):
    """One of a user's own kind."""


async def collected(values: AsyncGenerator[Any, None]) -> list[Any]:
    return [value async for value in values]


@pytest.fixture
def add() -> Tool:
    @tool
    async def add(a: int, b: int = 0) -> int:
        return a + b

    return add


@pytest.fixture
def count() -> Tool:
    @tool
    async def count(n: int) -> AsyncGenerator[int, None]:
        for i in range(n):
            yield i

    return count


@pytest.fixture
def wait() -> Tool:
    """Waits for ever; with a list it says there how it ended."""

    @tool
    async def wait(log: list[str] | None = None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if log is not None:
                log.append("closed")

    return wait


class TestFields:
    def test_defaults(self, add: Tool) -> None:
        turn = Turn("add")
        assert (turn.tool, turn.args, turn.kwargs, turn.timeout, turn.metadata, turn.hooks) == (add, [], {}, 60, {}, {})
        assert (turn.start_time, turn.end_time, turn.stop_reason, turn.output) == (None, None, None, None)
        assert (turn.id, turn.attempt, turn.hops, turn.parent, turn.root, turn.memory) == (None,) * 6

    def test_by_position_and_by_keyword(self, add: Tool) -> None:
        now = datetime.now(UTC)
        turn = Turn("add", (1,), {"b": 2}, 5, now, now, StopReason.ERROR, {"k": "v"})
        assert (turn.args, turn.kwargs, turn.timeout, turn.metadata) == ([1], {"b": 2}, 5, {"k": "v"})
        named = Turn(
            "add", metadata={"k": "v"}, stop_reason=StopReason.ERROR, start_time=now, end_time=now, timeout=None
        )
        assert (named.start_time, named.end_time, named.stop_reason) == (
            turn.start_time,
            turn.end_time,
            turn.stop_reason,
        )

    def test_tool_by_name_tool_or_function(self, add: Tool) -> None:
        assert Turn(add).tool is Turn("add").tool is Turn(add.fn).tool is add
        with pytest.raises(UnregisteredToolError, match="'nothing' not found"):
            Turn("nothing")

    def test_attributes_of_the_users_own(self, add: Tool) -> None:
        turn = Turn("add")
        turn.mine = 1  # type: ignore[attr-defined]
        assert turn.mine == 1  # type: ignore[attr-defined]

    async def test_what_may_be_set_while_it_runs(self) -> None:
        @tool
        async def meddle() -> None:
            turn = current_turn()
            for name in ("tool", "args", "kwargs", "timeout", "hooks"):
                with pytest.raises(SafeExecutionError, match=name):
                    setattr(turn, name, getattr(turn, name))
            turn.metadata = {"seen": True}
            turn.output, turn.start_time, turn.end_time = 1, turn.end_time, None

        turn = Turn[None]("meddle")
        await turn.returning()
        assert turn.metadata == {"seen": True}
        turn.timeout = 5
        assert turn.timeout == 5

    def test_repr(self, add: Tool) -> None:
        assert repr(Turn("add")) == "<turn of 'add': new>"
        assert repr(Turn("add", stop_reason=StopReason.ERROR)) == "<turn of 'add': error>"


class TestReturning:
    async def test_output_times_and_stop_reason(self, add: Tool) -> None:
        turn = Turn[int]("add", [2], {"b": 3})
        before = datetime.now(UTC)
        assert await turn.returning() == 5 == turn.output
        assert turn.stop_reason is StopReason.COMPLETED
        assert str(turn.stop_reason) == "completed"
        assert turn.start_time is not None and turn.end_time is not None
        assert before <= turn.start_time <= turn.end_time <= datetime.now(UTC)

    async def test_times_stay_what_they_are(self, add: Tool) -> None:
        turn = Turn[int]("add", [2])
        await turn.returning()
        assert (turn.start_time, turn.end_time) == (turn.start_time, turn.end_time)
        assert turn.start_time is not None and turn.start_time.utcoffset() == timedelta()
        turn.start_time = turn.end_time = TIME
        assert (turn.start_time, turn.end_time) == (TIME, TIME)

    async def test_functions_among_the_arguments_are_called_then(self, add: Tool) -> None:
        numbers = iter([1, 2])

        @dynamic
        def ten() -> int:
            return 10

        turn = Turn[int]("add", [lambda: next(numbers)], {"b": ten})
        assert [await turn.returning(), await turn.returning()] == [11, 12]

    async def test_errors(self) -> None:
        scripted_tool("fails", ValueError("tool failed"))
        turn = Turn[None]("fails")
        with pytest.raises(ValueError, match="tool failed"):
            await turn.returning()
        assert turn.stop_reason is StopReason.ERROR
        assert turn.end_time is not None

    @pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), StopAsyncIteration()])
    async def test_hostile_exceptions_are_errors(self, error: BaseException) -> None:
        scripted_tool("fails", error)
        recording = RecordingHooks(TurnHook.ON_ERROR)
        turn = Turn[None]("fails", hooks=recording.hooks)  # type: ignore[arg-type]
        with pytest.raises(type(error)):
            await turn.returning()
        assert turn.stop_reason is StopReason.ERROR
        assert recording.events == [(TurnHook.ON_ERROR, (turn, error))]

    async def test_of_a_generator_tool(self, count: Tool) -> None:
        turn = Turn[Any]("count", [1])
        with pytest.raises(WrongRunMethodError, match=r"yielding\(\)"):
            await turn.returning()
        assert turn.stop_reason is StopReason.ERROR

    async def test_inside_itself(self) -> None:
        @tool
        async def again() -> None:
            await current_turn().returning()

        with pytest.raises(SafeExecutionError, match="running"):
            await Turn[None]("again").returning()

    async def test_a_second_time_forgets_the_first(self) -> None:
        scripted_tool("twice", 1, ValueError())
        turn = Turn[int]("twice")
        await turn.returning()
        with pytest.raises(ValueError):
            await turn.returning()
        assert (turn.output, turn.stop_reason) == (None, StopReason.ERROR)


class TestYielding:
    async def test_values_and_their_list(self, count: Tool) -> None:
        turn = Turn[int]("count", [3])
        assert await collected(turn.yielding()) == [0, 1, 2] == turn.output
        assert turn.stop_reason is StopReason.COMPLETED

    async def test_none_is_a_value(self) -> None:
        scripted_tool("nones", [1, None, 2], streaming=True)
        assert await collected(Turn[Any]("nones").yielding()) == [1, None, 2]

    async def test_of_a_coroutine_tool(self, add: Tool) -> None:
        with pytest.raises(WrongRunMethodError, match=r"returning\(\)"):
            await collected(Turn[int]("add", [1]).yielding())

    async def test_errors_after_a_value(self) -> None:
        scripted_tool("fails", [1, ValueError("late")], streaming=True)
        turn = Turn[int]("fails")
        seen = []
        with pytest.raises(ValueError, match="late"):
            async for value in turn.yielding():
                seen.append(value)
        assert (seen, turn.stop_reason, turn.output) == ([1], StopReason.ERROR, None)

    @pytest.mark.parametrize("kind", [Turn, SpecialTurn])
    @pytest.mark.parametrize("before", [[], [1], [None, "a", "b"]], ids=str)
    async def test_a_turn_is_no_value(self, add: Tool, kind: type[Turn[Any]], before: list[Any]) -> None:
        closed: list[int] = []

        @tool
        async def gives_turns() -> AsyncGenerator[Any, None]:
            try:
                for value in before:
                    yield value
                yield kind("add")
            finally:
                closed.append(1)

        turn, seen = Turn[Any]("gives_turns"), []
        with pytest.raises(TypeError, match="cannot yield a Turn"):
            async for value in turn.yielding():
                seen.append(value)
        assert (turn.stop_reason, closed, seen) == (StopReason.ERROR, [1], before)

    async def test_inside_itself(self) -> None:
        @tool
        async def again() -> AsyncGenerator[int, None]:
            yield 1
            async for _ in current_turn().yielding():
                pass

        with pytest.raises(SafeExecutionError, match="running"):
            await collected(Turn[int]("again").yielding())

    async def test_nothing_runs_ahead_of_the_reader(self) -> None:
        made: list[int] = []

        @tool
        async def eager() -> AsyncGenerator[int, None]:
            for i in range(10):
                made.append(i)
                yield i
                await asyncio.sleep(0)

        values = Turn[int]("eager").yielding()
        for _ in range(3):
            await anext(values)
        for _ in range(20):
            await asyncio.sleep(0)
        assert made == [0, 1, 2]
        await values.aclose()

    async def test_closing_it_closes_the_tool_and_cancels_the_turn(self) -> None:
        closed: list[str] = []

        @tool(lock=True)
        async def careful() -> AsyncGenerator[int, None]:
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(0)
                closed.append(current_turn().tool.metadata.name)

        turn = Turn[int]("careful")
        values = turn.yielding()
        assert await anext(values) == 1
        assert turn.tool.lock is not None
        assert turn.tool.lock.locked()
        await values.aclose()
        assert closed == ["careful"]
        assert turn.stop_reason is StopReason.CANCELLED
        assert turn.end_time is not None
        assert not turn.is_running
        assert not turn.tool.lock.locked()

    async def test_one_that_nobody_closes_is_closed_by_the_loop(self, count: Tool) -> None:
        turn = Turn[int]("count", [5])
        async for _ in turn.yielding():
            break
        await eventually(lambda: turn.stop_reason is StopReason.CANCELLED)

    async def test_one_that_was_never_started(self, count: Tool) -> None:
        turn = Turn[int]("count", [5])
        await turn.yielding().aclose()
        assert turn.stop_reason is None

    async def test_a_tool_that_fails_while_it_is_closed(self, caplog: pytest.LogCaptureFixture) -> None:
        @tool
        async def untidy() -> AsyncGenerator[int, None]:
            try:
                yield 1
            finally:
                raise ValueError("while closing")

        turn = Turn[int]("untidy")
        values = turn.yielding()
        await anext(values)
        await values.aclose()
        assert turn.stop_reason is StopReason.CANCELLED
        assert "while closing" in caplog.text

    async def test_may_be_read_by_a_new_task_each_time(self, count: Tool) -> None:
        values = Turn[int]("count", [3]).yielding()
        seen = [await asyncio.create_task(anext(values)) for _ in range(3)]
        assert seen == [0, 1, 2]
        assert await anext(values, "end") == "end"


class TestTimeout:
    async def test_of_a_coroutine_tool(self, wait: Tool) -> None:
        log: list[str] = []
        recording = RecordingHooks(TurnHook.ON_TIMEOUT, TurnHook.ON_ERROR)
        turn = Turn[None]("wait", [log], timeout=0.02, hooks=recording.hooks)  # type: ignore[arg-type]
        with pytest.raises(TurnTimeoutError, match=r"timed out after 0.02s") as caught:
            await turn.returning()
        assert isinstance(caught.value, TimeoutError)
        assert (turn.stop_reason, log) == (StopReason.TIMEOUT, ["closed"])
        assert turn.end_time is not None
        assert recording.events == [(TurnHook.ON_TIMEOUT, (turn,))]
        _assert_not_cancelled()

    async def test_of_a_generator_tool_counts_the_whole(self) -> None:
        @tool
        async def trickle() -> AsyncGenerator[int, None]:
            while True:
                yield 1
                await asyncio.sleep(0.005)

        turn = Turn[int]("trickle", timeout=0.05)
        with pytest.raises(TurnTimeoutError):
            await collected(turn.yielding())
        assert turn.stop_reason is StopReason.TIMEOUT
        _assert_not_cancelled()

    @pytest.mark.parametrize("suspends_first", [False, True])
    async def test_while_the_reader_holds_a_value(self, suspends_first: bool) -> None:
        @tool
        async def ready() -> AsyncGenerator[int, None]:
            if suspends_first:
                await asyncio.sleep(0)
            for i in range(10):
                yield i

        turn = Turn[int]("ready", timeout=0.02)
        values = turn.yielding()
        await anext(values)
        await asyncio.sleep(0.05)
        _assert_not_cancelled()
        with pytest.raises(TurnTimeoutError):
            await anext(values)
        assert turn.stop_reason is StopReason.TIMEOUT
        _assert_not_cancelled()

    async def test_when_the_tool_goes_on_waiting_after_it(self) -> None:
        @tool
        async def ready() -> AsyncGenerator[int, None]:
            await asyncio.sleep(0)
            yield 1
            await asyncio.Event().wait()

        values = Turn[int]("ready", timeout=0.02).yielding()
        await anext(values)
        await asyncio.sleep(0.05)
        with pytest.raises(TurnTimeoutError):
            await anext(values)

    async def test_none_is_no_limit(self, add: Tool) -> None:
        turn = Turn[int]("add", [1], timeout=None)
        assert await turn.returning() == 1
        assert turn.deadline is None

    async def test_code_that_blocks_the_loop(self) -> None:
        @tool
        async def blocks() -> int:
            time.sleep(0.05)  # noqa: ASYNC251 - that is what it is about
            return 1

        @tool
        async def blocks_often() -> AsyncGenerator[int, None]:
            while True:
                time.sleep(0.02)  # noqa: ASYNC251
                yield 1

        for run in (
            Turn[int]("blocks", timeout=0.01).returning(),
            collected(Turn[int]("blocks_often", timeout=0.05).yielding()),
        ):
            with pytest.raises(TurnTimeoutError):
                await run

    async def test_swallowing_the_cancellation_does_not_complete_it(self) -> None:
        @tool
        async def stubborn() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
            return "late"

        @tool
        async def stubborn_stream() -> AsyncGenerator[str, None]:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield "late"

        turn, stream = Turn[str]("stubborn", timeout=0.01), Turn[str]("stubborn_stream", timeout=0.01)
        with pytest.raises(TurnTimeoutError):
            await turn.returning()
        with pytest.raises(TurnTimeoutError):
            await collected(stream.yielding())
        assert (turn.stop_reason, turn.output) == (StopReason.TIMEOUT, None)
        assert (stream.stop_reason, stream.output) == (StopReason.TIMEOUT, None)
        _assert_not_cancelled()

    async def test_another_error_on_the_way_out(self) -> None:
        @tool
        async def spiteful() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("spite") from None

        with pytest.raises(TurnTimeoutError) as caught:
            await Turn[None]("spiteful", timeout=0.01).returning()
        assert isinstance(caught.value.__cause__, ValueError)

    async def test_a_timeout_of_the_tools_own_is_an_error(self, wait: Tool) -> None:
        scripted_tool("own", TimeoutError("own"))

        @tool
        async def inner() -> None:
            await Turn[None]("wait", timeout=0.01).returning()

        own, outer = Turn[None]("own"), Turn[None]("inner")
        with pytest.raises(TimeoutError, match="own"):
            await own.returning()
        with pytest.raises(TurnTimeoutError):
            await outer.returning()
        assert (own.stop_reason, outer.stop_reason) == (StopReason.ERROR, StopReason.ERROR)

    async def test_of_an_outer_turn_cancels_the_inner_one(self, wait: Tool) -> None:
        inner = Turn[None]("wait")

        @tool
        async def outer() -> None:
            await inner.returning()

        turn = Turn[None]("outer", timeout=0.01)
        with pytest.raises(TurnTimeoutError):
            await turn.returning()
        assert (turn.stop_reason, inner.stop_reason) == (StopReason.TIMEOUT, StopReason.CANCELLED)

    async def test_the_wait_for_the_lock_does_not_count(self) -> None:
        @tool(lock=True)
        async def locked(seconds: float) -> None:
            await asyncio.sleep(seconds)

        turns = [Turn[None]("locked", [0.06], timeout=0.1) for _ in range(3)]
        await asyncio.gather(*(turn.returning() for turn in turns))
        assert {turn.stop_reason for turn in turns} == {StopReason.COMPLETED}

    async def test_its_end_is_known_while_it_runs(self) -> None:
        @tool
        async def look() -> float:
            deadline = current_turn().deadline
            assert deadline is not None
            return deadline - time.monotonic()

        assert 50 < await Turn[float]("look").returning() <= 60


class TestCancellation:
    @pytest.mark.parametrize("timeout", [None, NEVER])
    async def test_sets_its_stop_reason(self, wait: Tool, timeout: float | None) -> None:
        log: list[str] = []
        recording = RecordingHooks(*TurnHook)
        turn = Turn[None]("wait", [log], timeout=timeout, hooks=recording.hooks)  # type: ignore[arg-type]
        running = asyncio.create_task(turn.returning())
        await eventually(lambda: turn.is_running)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (turn.stop_reason, log, turn.is_running) == (StopReason.CANCELLED, ["closed"], False)
        assert recording.kinds == [TurnHook.BEFORE_RUN]

    async def test_wins_over_a_timeout_during_the_clean_up(self) -> None:
        waiting, cleaning = asyncio.Event(), asyncio.Event()

        @tool
        async def slow_to_leave() -> None:
            try:
                waiting.set()
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                await asyncio.sleep(NEVER)

        turn = Turn[None]("slow_to_leave", timeout=1)
        running = asyncio.create_task(turn.returning())
        await waiting.wait()
        running.cancel()
        await cleaning.wait()
        await asyncio.wait([running])
        assert running.cancelled()
        assert turn.stop_reason is StopReason.CANCELLED

    async def test_something_that_the_tool_awaits_is_cancelled(self) -> None:
        @tool
        async def awaits_a_cancelled_one() -> None:
            other = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(other.cancel)
            await other

        turn = Turn[None]("awaits_a_cancelled_one")
        with pytest.raises(asyncio.CancelledError):
            await turn.returning()
        assert turn.stop_reason is StopReason.ERROR
        _assert_not_cancelled()

    async def test_while_it_waits_for_the_lock(self) -> None:
        @tool(lock=True)
        async def locked() -> None:
            pass

        assert locked.lock is not None
        turn = Turn[None]("locked")
        async with locked.lock:
            waiting = asyncio.create_task(turn.returning())
            await eventually(lambda: "waiters:1" in repr(locked.lock))
            waiting.cancel()
            await asyncio.wait([waiting])
        assert (turn.stop_reason, turn.start_time) == (StopReason.CANCELLED, None)
        assert not locked.lock.locked()
        await turn.returning()

    async def test_while_another_attempt_at_it_has_the_lock(self) -> None:
        go_on = asyncio.Event()

        @tool(lock=True)
        async def locked() -> None:
            await go_on.wait()

        assert locked.lock is not None
        turn = Turn[None]("locked")
        async with locked.lock:
            first, second = (asyncio.create_task(turn.returning()) for _ in range(2))
            await eventually(lambda: "waiters:2" in repr(locked.lock))
        await eventually(lambda: turn.is_running)
        second.cancel()
        await asyncio.wait([second])
        assert turn.is_running
        go_on.set()
        await first
        assert turn.stop_reason is StopReason.COMPLETED

    async def test_a_coroutine_that_is_thrown_away(self, wait: Tool) -> None:
        log: list[str] = []
        turn = Turn[None]("wait", [log])
        running = turn.returning()
        running.send(None)
        running.close()
        assert (turn.stop_reason, log, turn.is_running) == (StopReason.CANCELLED, ["closed"], False)

    async def test_while_the_tool_is_being_closed(self) -> None:
        closing = asyncio.Event()

        @tool
        async def slow_to_close() -> AsyncGenerator[int, None]:
            try:
                yield 1
            finally:
                closing.set()
                await asyncio.sleep(NEVER)

        turn = Turn[int]("slow_to_close")
        values = turn.yielding()
        await anext(values)
        leaving = asyncio.create_task(values.aclose())
        await closing.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (turn.stop_reason, turn.is_running) == (StopReason.CANCELLED, False)

    async def test_inner_timeouts_and_groups_of_a_tool_work(self) -> None:
        @tool
        async def structured() -> str:
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            except TimeoutError:
                pass
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(NEVER))
                    group.create_task(_fail())
            return "done"

        turn = Turn[str]("structured", timeout=NEVER)
        assert await turn.returning() == "done"
        assert turn.stop_reason is StopReason.COMPLETED


class TestCurrent:
    async def test_in_the_tool_its_hooks_and_its_tasks(self) -> None:
        seen: list[Any] = []

        async def note(*_: Any) -> None:
            seen.append(current_turn())

        @tool
        async def look() -> AsyncGenerator[int, None]:
            await note()
            yield 1
            await asyncio.create_task(note())
            yield 2

        hooks = {kind: [note] for kind in (TurnHook.BEFORE_RUN, TurnHook.ON_VALUE, TurnHook.AFTER_RUN)}
        turn = Turn[int]("look", hooks=hooks)
        async for _ in turn.yielding():
            with pytest.raises(NotRunningError):
                current_turn()
            await asyncio.create_task(_nothing_current())
        assert seen == [turn] * 6
        with pytest.raises(LookupError):
            current_turn()

    async def test_two_streams_read_in_turns(self) -> None:
        @tool
        async def who() -> AsyncGenerator[Any, None]:
            for _ in range(2):
                yield current_turn().metadata["name"], await asyncio.create_task(_name())

        streams = [Turn[Any]("who", metadata={"name": name}).yielding() for name in "ab"]
        seen = [await anext(stream) for _ in range(2) for stream in streams]
        assert seen == [("a", "a"), ("b", "b")] * 2
        for stream in streams:
            await stream.aclose()

    async def test_variables_of_the_reader_are_seen_and_not_changed(self) -> None:
        variable = contextvars.ContextVar("variable", default="none")

        @tool
        async def changes() -> AsyncGenerator[str, None]:
            yield variable.get()
            variable.set("tool")
            await asyncio.sleep(0)
            yield variable.get()

        variable.set("reader")
        seen = [(value, variable.get()) async for value in Turn[str]("changes").yielding()]
        assert seen == [("reader", "reader"), ("tool", "reader")]

    async def test_no_agent_outside_of_one(self) -> None:
        @tool
        async def look() -> None:
            with pytest.raises(NotRunningError, match="no agent"):
                current_agent()

        await Turn[None]("look").returning()


class TestHooks:
    async def test_order_and_arguments(self) -> None:
        scripted_tool("two", ["a", None], streaming=True)
        recording = RecordingHooks(*TurnHook)
        turn = Turn[Any]("two", hooks=recording.hooks)  # type: ignore[arg-type]
        await collected(turn.yielding())
        assert recording.events == [
            (TurnHook.BEFORE_RUN, (turn,)),
            (TurnHook.ON_VALUE, (turn, "a")),
            (TurnHook.ON_VALUE, (turn, None)),
            (TurnHook.AFTER_RUN, (turn,)),
        ]

    async def test_before_run_holds_the_lock_and_after_run_sees_the_end(self) -> None:
        @tool(lock=True)
        async def locked() -> int:
            return 1

        async def before(turn: Turn[Any]) -> None:
            assert turn.tool.lock is not None
            assert turn.tool.lock.locked()

        async def after(turn: Turn[Any]) -> None:
            assert (turn.output, turn.stop_reason) == (1, StopReason.COMPLETED)

        await Turn[int]("locked", hooks={TurnHook.BEFORE_RUN: [before], TurnHook.AFTER_RUN: [after]}).returning()

    @pytest.mark.parametrize("kind", [TurnHook.BEFORE_RUN, TurnHook.ON_VALUE])
    async def test_a_guarding_one_that_raises_fails_the_turn(self, kind: TurnHook) -> None:
        async def refuse(*_: Any) -> None:
            raise PermissionError("no")

        told = RecordingHooks(TurnHook.ON_ERROR)
        scripted_tool("two", [1, 2], streaming=True)
        turn = Turn[int]("two", hooks={kind: [refuse], **told.hooks})  # type: ignore[dict-item]
        with pytest.raises(PermissionError):
            await collected(turn.yielding())
        assert turn.stop_reason is StopReason.ERROR
        assert told.kinds == [TurnHook.ON_ERROR]

    @pytest.mark.parametrize("fails", [False, True])
    async def test_a_watching_one_that_raises_changes_nothing(
        self, fails: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def broken(*_: Any) -> None:
            raise RuntimeError("hook")

        scripted_tool("step", ValueError("tool") if fails else 1)
        turn = Turn[int]("step", hooks={TurnHook.AFTER_RUN: [broken], TurnHook.ON_ERROR: [broken]})
        if fails:
            with pytest.raises(ValueError, match="tool"):
                await turn.returning()
        else:
            assert await turn.returning() == 1
        assert turn.stop_reason is (StopReason.ERROR if fails else StopReason.COMPLETED)
        assert "broken" in caplog.text

    def test_add_hook(self, add: Tool) -> None:
        async def hook(turn: Turn[Any]) -> None:
            pass

        turn = Turn("add")
        turn.add_hook(TurnHook.BEFORE_RUN, hook)
        turn.add_hook(TurnHook.BEFORE_RUN, hook)
        turn.add_hook(TurnHook.AFTER_RUN, hook, name="custom")
        assert turn.hooks == {TurnHook.BEFORE_RUN: [hook, hook], TurnHook.AFTER_RUN: [hook]}
        assert HookRegistry.get("hook") is HookRegistry.get("custom") is hook


class TestLock:
    async def test_turns_of_a_locked_tool_run_one_after_another(self) -> None:
        events: list[str] = []

        @tool(lock=True)
        async def locked() -> None:
            events.append("start")
            await asyncio.sleep(0)
            events.append("end")

        await asyncio.gather(*(Turn[None]("locked").returning() for _ in range(3)))
        assert events == ["start", "end"] * 3

    @pytest.mark.parametrize("step", [1, ValueError(), SystemExit()])
    async def test_is_freed_on_every_way_out(self, step: Any) -> None:
        @tool(lock=True)
        async def locked() -> Any:
            if isinstance(step, BaseException):
                raise step
            return step

        assert locked.lock is not None
        try:
            await Turn[Any]("locked").returning()
        except BaseException as error:
            assert error is step
        assert not locked.lock.locked()


class TestMemory:
    async def test_a_turn_without_agent_gets_a_fresh_one(self) -> None:
        @tool
        async def remember(memory: WorkingMemory) -> int:
            memory.append(1)
            return len(memory)

        turn = Turn[int]("remember")
        assert [await turn.returning(), await turn.returning()] == [1, 1]
        assert turn.memory is not None
        assert turn.memory.items == [1]


class TestDicts:
    async def test_all_of_it(self, add: Tool) -> None:
        turn = Turn[int]("add", [lambda: 1], {"b": 2}, 30, metadata={"k": "v"})
        assert turn.to_dict() == {
            "tool_name": "add",
            "args": [1],
            "kwargs": {"b": 2},
            "metadata": {"k": "v"},
            "timeout": 30,
            "start_time": None,
            "end_time": None,
            "stop_reason": None,
            "output": None,
            "hooks": {},
        }
        await turn.returning()
        again = Turn.from_dict(turn.to_dict())
        assert again.to_dict() == turn.to_dict()
        assert (again.tool, again.start_time, again.stop_reason) == (add, turn.start_time, StopReason.COMPLETED)
        assert again.start_time is not None
        assert again.start_time.utcoffset() is not None

    async def test_only_the_tool_name_is_required(self, add: Tool) -> None:
        turn = Turn.from_dict({"tool_name": "add", "kwargs": {"a": 5}})
        assert (turn.timeout, turn.metadata, turn.stop_reason, turn.output) == (60, {}, None, None)
        assert await turn.returning() == 5
        with pytest.raises(KeyError):
            Turn.from_dict({})

    def test_hooks_by_name(self, add: Tool) -> None:
        async def hook(turn: Turn[Any]) -> None:
            pass

        turn = Turn("add")
        turn.add_hook(TurnHook.AFTER_RUN, hook, "custom")
        data = turn.to_dict()
        assert data["hooks"] == {"after_run": ["custom"]}
        assert Turn.from_dict(data).hooks == {TurnHook.AFTER_RUN: [hook]}
        with pytest.raises(UnregisteredHookError):
            Turn.from_dict({**data, "hooks": {"after_run": ["gone"]}})

    def test_dynamic_arguments_by_name(self, add: Tool) -> None:
        @dynamic
        def one() -> int:
            return 1

        data = Turn("add", [one]).to_dict()
        assert data["args"] == [{"$dynamic": "one"}]
        assert Turn.from_dict(data).args == [one]


@given(
    args=st.lists(st.integers() | st.text() | st.none()),
    kwargs=st.dictionaries(st.text(), st.booleans() | st.floats(allow_nan=False)),
    metadata=st.dictionaries(st.text(), st.integers()),
    timeout=st.none() | st.integers(1, 100),
    times=st.tuples(*[st.none() | st.datetimes(timezones=st.just(UTC))] * 2),
    stop_reason=st.none() | st.sampled_from(StopReason),
    output=st.none() | st.lists(st.integers()),
)
def test_as_dict_and_back(
    *,
    args: list[Any],
    kwargs: dict[str, Any],
    metadata: dict[str, Any],
    timeout: float | None,
    times: tuple[datetime | None, datetime | None],
    stop_reason: StopReason | None,
    output: Any,
) -> None:
    with isolated_registries():
        scripted_tool("anything")
        turn: Turn[Any] = Turn("anything", args, kwargs, timeout, *times, stop_reason, metadata)
        turn.output = output
        again = Turn.from_dict(turn.to_dict())
    assert again.to_dict() == turn.to_dict()
    assert (again.start_time, again.end_time, again.stop_reason) == (*times, stop_reason)


async def _fail() -> None:
    raise ValueError


async def _name() -> Any:
    return current_turn().metadata["name"]


async def _nothing_current() -> None:
    with pytest.raises(NotRunningError):
        current_turn()


def _assert_not_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


class TestFifthPositionalArgument:
    def test_may_be_the_metadata_or_the_start_time(self) -> None:
        @tool()
        async def nothing() -> None: ...

        now = datetime.now(UTC)
        assert Turn("nothing", [], {}, 60, {"user": 1}).metadata == {"user": 1}
        assert Turn("nothing", [], {}, 60, {"user": 1}).start_time is None
        assert Turn("nothing", [], {}, 60, now).start_time == now
