import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pygents_core import HookRegistry, Retry, Tool, ToolHook, ToolMetadata, ToolRegistry, WorkingMemory, tool

pytestmark = pytest.mark.anyio


async def collected(values: AsyncGenerator[Any, None]) -> list[Any]:
    return [value async for value in values]


class TestDecorator:
    async def test_with_and_without_parentheses(self) -> None:
        @tool
        async def bare(x: int) -> int:
            """Doc of bare."""
            return x + 1

        @tool()
        async def called(x: int) -> int:
            return x + 2

        assert (await bare(1), await called(1)) == (2, 3)
        assert (bare.__name__, bare.__doc__) == ("bare", "Doc of bare.")
        assert bare.metadata == ToolMetadata("bare", "Doc of bare.")
        assert bare.metadata.dict() == {"name": "bare", "description": "Doc of bare."}
        assert called.metadata.dict() == {"name": "called", "description": None}
        assert isinstance(bare, Tool)
        assert repr(bare) == "<tool 'bare'>"
        assert list(inspect.signature(bare).parameters) == ["x"]
        assert (bare.lock, bare.hooks, bare.retry, bare.fixed_kwargs) == (None, {}, None, ())

    @pytest.mark.parametrize("function", [lambda: 1, print, object()])
    def test_what_is_not_async(self, function: Any) -> None:
        with pytest.raises(TypeError, match="must be async"):
            tool(function)

    async def test_its_kind_and_its_function(self) -> None:
        @tool
        async def coroutine() -> int:
            return 1

        @tool
        async def generator() -> AsyncGenerator[int, None]:
            yield 1

        assert (coroutine.is_streaming, generator.is_streaming) == (False, True)
        assert inspect.iscoroutinefunction(coroutine.fn)
        assert await coroutine.fn() == 1
        assert await collected(generator()) == [1]

    def test_lock(self) -> None:
        @tool(lock=True)
        async def locked() -> None:
            pass

        assert isinstance(locked.lock, asyncio.Lock)

    def test_failed_decoration_registers_nothing(self) -> None:
        with pytest.raises(TypeError):

            @tool(unknown=1)
            async def half() -> None:
                pass

        assert "half" not in [known.metadata.name for known in ToolRegistry.all()]


class TestFixedKwargs:
    async def test_are_merged_and_call_time_wins_with_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        @tool(permission="admin", level=1)
        async def f(x: int, permission: str, level: int) -> tuple[int, str, int]:
            return x, permission, level

        assert f.fixed_kwargs == ("permission", "level")
        with caplog.at_level(logging.WARNING, logger="pygents"):
            assert await f(1) == (1, "admin", 1)
            assert not caplog.records
            assert await f(1, permission="user") == (1, "user", 1)
        assert caplog.messages == ["Fixed kwarg 'permission' is overridden by call-time argument for tool f."]

    async def test_functions_are_evaluated_at_each_call(self) -> None:
        numbers = iter([1, 2])

        @tool(n=lambda: next(numbers))
        async def f(n: int) -> AsyncGenerator[int, None]:
            yield n

        assert [await collected(f()), await collected(f())] == [[1], [2]]

    def test_one_that_is_not_in_the_signature(self) -> None:
        with pytest.raises(TypeError, match=r"fixed kwargs \['unknown'\] are not in function signature"):

            @tool(unknown=1)
            async def f(x: int) -> None:
                pass

    async def test_any_with_kwargs(self) -> None:
        @tool(extra="fixed")
        async def f(x: int, **more: Any) -> dict[str, Any]:
            return {"x": x, **more}

        assert await f(1) == {"x": 1, "extra": "fixed"}


class TestRetry:
    async def test_is_a_policy_only_if_it_is_one(self) -> None:
        @tool(retry=Retry(3))
        async def policy() -> None:
            pass

        @tool(retry=5)
        async def argument(retry: int) -> int:
            return retry

        assert (policy.retry, policy.fixed_kwargs) == (Retry(3), ())
        assert (argument.retry, await argument()) == (None, 5)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"max_attempts": 0},
            {"delay": -1},
            {"delay": 366 * 86_400 + 1},
            {"factor": 0.5},
            {"factor": float("nan")},
            {"max_delay": float("inf")},
            {"on": ("error", "luck")},
        ],
    )
    def test_numbers_that_make_no_sense(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="must"):
            Retry(**{"max_attempts": 2, **wrong})


class TestHooks:
    async def test_of_a_coroutine_tool(self) -> None:
        events: list[Any] = []

        async def before(*args: Any, **kwargs: Any) -> None:
            events.append((args, kwargs))

        async def after(value: Any) -> None:
            events.append(value)

        @tool(hooks={ToolHook.BEFORE_INVOKE: [before], ToolHook.AFTER_INVOKE: [after]}, y=2)
        async def f(x: int, y: int) -> int:
            return x + y

        assert await f(1) == 3
        assert events == [((1,), {"y": 2}), 3]
        assert HookRegistry.get("before") is before

    async def test_of_a_generator_tool(self) -> None:
        events: list[Any] = []

        async def before(*_: Any) -> None:
            events.append("before")

        async def after(value: Any) -> None:
            events.append(value)

        @tool(hooks={ToolHook.BEFORE_INVOKE: [before], ToolHook.AFTER_INVOKE: [after]})
        async def f() -> AsyncGenerator[int | None, None]:
            events.append("start")
            yield 1
            yield None

        assert await collected(f()) == [1, None]
        assert events == ["before", "start", 1, None]

    async def test_one_that_refuses(self, caplog: pytest.LogCaptureFixture) -> None:
        async def refuse(*_: Any) -> None:
            raise PermissionError("no")

        @tool(hooks={ToolHook.BEFORE_INVOKE: [refuse]})
        async def f() -> None:
            raise AssertionError("never called")

        with pytest.raises(PermissionError):
            await f()

        @tool(hooks={ToolHook.AFTER_INVOKE: [refuse]})
        async def g() -> int:
            return 1

        assert await g() == 1
        assert "refuse" in caplog.text

    async def test_closing_a_hooked_stream_closes_the_tool(self) -> None:
        closed: list[int] = []

        async def nothing(*_: Any) -> None:
            pass

        @tool(hooks={ToolHook.AFTER_INVOKE: [nothing]})
        async def f() -> AsyncGenerator[int, None]:
            try:
                yield 1
                yield 2
            finally:
                closed.append(1)

        values = f()
        assert await anext(values) == 1
        await values.aclose()
        assert closed == [1]

    def test_the_same_hook_on_two_tools(self) -> None:
        async def shared(*_: Any) -> None:
            pass

        for name in ("one", "two"):

            async def f() -> None:
                pass

            f.__name__ = name
            tool(hooks={ToolHook.BEFORE_INVOKE: [shared]})(f)


class TestMemory:
    MEMORY = WorkingMemory(3)

    @pytest.mark.parametrize(
        ("given_args", "given_kwargs", "args", "kwargs"),
        [
            ([1, 2], {}, [1, MEMORY, 2], {}),
            ([1], {"y": 2}, [1, MEMORY], {"y": 2}),
            ([], {"x": 1}, [], {"x": 1, "memory": MEMORY}),
        ],
    )
    def test_is_put_where_its_parameter_is(self, given_args: Any, given_kwargs: Any, args: Any, kwargs: Any) -> None:
        @tool
        async def f(x: int, memory: WorkingMemory, y: int = 0) -> None:
            pass

        assert f.inject(self.MEMORY, given_args, given_kwargs) is self.MEMORY
        assert (given_args, given_kwargs) == (args, kwargs)

    def test_by_keyword_only(self) -> None:
        @tool
        async def f(*rest: int, memory: WorkingMemory) -> None:
            pass

        args: list[Any] = [1, 2]
        kwargs: dict[str, Any] = {}
        f.inject(self.MEMORY, args, kwargs)
        assert (args, kwargs) == ([1, 2], {"memory": self.MEMORY})

    @pytest.mark.parametrize(("args", "kwargs"), [([WorkingMemory(1)], {}), ([], {"memory": None})])
    def test_not_if_the_caller_gave_one(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        @tool
        async def f(memory: WorkingMemory | None) -> None:
            pass

        before = list(args), dict(kwargs)
        assert f.inject(self.MEMORY, args, kwargs) is None
        assert (args, kwargs) == before
