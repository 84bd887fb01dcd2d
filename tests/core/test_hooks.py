import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from pygents_core import AgentHook, HookFailed, HookRegistry, ToolHook, TurnHook, run_hooks
from pygents_core.hooks import GUARDING, Hook, HookRunner, HookType, add_hook, hook_names, hooks_from_names, registered

pytestmark = pytest.mark.anyio

ALL: list[HookType] = [*TurnHook, *AgentHook, *ToolHook]
WATCHING = [kind for kind in ALL if kind not in GUARDING]


async def broken(*_: Any, **__: Any) -> None:
    raise KeyError("broken")


async def endless(*_: Any, **__: Any) -> None:
    await asyncio.Event().wait()


async def stubborn(*_: Any, **__: Any) -> None:
    """Swallows its cancellation."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


async def slow_itself(*_: Any, **__: Any) -> None:
    raise TimeoutError("its own")


def test_guarding_types_are_those_before_and_on_value() -> None:
    names = {kind.value for kind in GUARDING}
    assert names == {"before_run", "on_value", "before_turn", "on_turn_value", "before_put", "before_invoke"}


async def test_run_hooks_in_order_with_arguments() -> None:
    seen: list[Any] = []

    async def first(*args: Any, **kwargs: Any) -> None:
        seen.append(("first", args, kwargs))

    async def second(*args: Any, **kwargs: Any) -> None:
        seen.append(("second", args, kwargs))

    await run_hooks([first, second], 1, x=2)
    assert seen == [("first", (1,), {"x": 2}), ("second", (1,), {"x": 2})]


@pytest.mark.parametrize("kind", sorted(GUARDING))
class TestGuarding:
    async def test_raises_its_own_exception(self, kind: HookType) -> None:
        with pytest.raises(KeyError, match="broken"):
            await HookRunner().fire(kind, [broken])

    async def test_wrapped(self, kind: HookType) -> None:
        with pytest.raises(HookFailed, match="'broken'") as caught:
            await HookRunner(wrap=True).fire(kind, [broken])
        assert isinstance(caught.value.__cause__, KeyError)
        assert (caught.value.kind, caught.value.hook, caught.value.timed_out) == (kind.value, "broken", False)

    @pytest.mark.parametrize("hook", [endless, stubborn])
    async def test_limit(self, kind: HookType, hook: Hook) -> None:
        with pytest.raises(HookFailed, match="time limit") as caught:
            await HookRunner(limit=0.01).fire(kind, [hook])
        assert caught.value.timed_out

    async def test_a_timeout_of_its_own_is_not_the_limit(self, kind: HookType) -> None:
        with pytest.raises(TimeoutError, match="its own"):
            await HookRunner(limit=60).fire(kind, [slow_itself])


@pytest.mark.parametrize("kind", sorted(WATCHING))
async def test_watching_hooks_only_log(kind: HookType, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    async def exits(*_: Any) -> None:
        raise SystemExit(3)

    async def last(*_: Any) -> None:
        seen.append(1)

    with caplog.at_level(logging.ERROR, logger="pygents"):
        await HookRunner(limit=0.01, wrap=True).fire(kind, [broken, endless, exits, last])
    assert seen == [1]
    assert [record.args and record.args[0] for record in caplog.records] == ["broken", "endless", "exits"]  # type: ignore[index]


@pytest.mark.parametrize("kind", [TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN])
async def test_cancellation_passes_through(kind: HookType) -> None:
    waiting = asyncio.Event()

    async def hook() -> None:
        waiting.set()
        await asyncio.Event().wait()

    firing = asyncio.create_task(HookRunner(limit=60, wrap=True).fire(kind, [hook]))
    await waiting.wait()
    firing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await firing


def test_add_hook_twice_is_no_error() -> None:
    table: dict[TurnHook, list[Hook]] = {}
    add_hook(table, TurnHook.AFTER_RUN, broken)
    add_hook(table, TurnHook.AFTER_RUN, broken)
    assert table == {TurnHook.AFTER_RUN: [broken, broken]}
    with pytest.raises(ValueError, match="already registered"):
        add_hook(table, TurnHook.AFTER_RUN, endless, "broken")


def test_one_that_is_registered_under_another_name_is_not_registered_again() -> None:
    async def hook() -> None:
        pass

    HookRegistry.register(endless, "hook")
    HookRegistry.register(hook, "custom")
    assert registered({TurnHook.AFTER_RUN: (hook,)}) == {TurnHook.AFTER_RUN: [hook]}
    with pytest.raises(ValueError, match="'hook' already registered"):
        add_hook({}, TurnHook.AFTER_RUN, hook, "hook")


def test_names_and_back() -> None:
    HookRegistry.register(broken, "custom")
    HookRegistry.register(endless)
    table = {TurnHook.AFTER_RUN: [broken], AgentHook.BEFORE_PUT: [endless, broken]}
    names = hook_names(table)
    assert names == {"after_run": ["custom"], "before_put": ["endless", "custom"]}
    assert hooks_from_names(names) == table


class TestLimit:
    """With a limit, a hook is a task of its own: nothing that it does with cancellation concerns the turn."""

    async def test_one_that_swallows_its_cancellation_is_left_behind(self) -> None:
        left = asyncio.Event()

        async def deaf(*_: Any) -> None:
            while not left.is_set():
                with suppress(asyncio.CancelledError):
                    await left.wait()

        with pytest.raises(HookFailed) as caught:
            await asyncio.wait_for(HookRunner(limit=0.01, wrap=True).fire(TurnHook.BEFORE_RUN, [deaf]), 5)
        assert caught.value.timed_out
        left.set()

    @pytest.mark.parametrize("limit", [None, 5.0])
    @pytest.mark.parametrize("raised", [asyncio.CancelledError, SystemExit, KeyboardInterrupt, ValueError])
    async def test_whatever_it_raises_is_its_own(self, limit: float | None, raised: type[BaseException]) -> None:
        async def failing(*_: Any) -> None:
            raise raised

        runner = HookRunner(limit=limit, wrap=True)
        with pytest.raises(HookFailed) as caught:
            await runner.fire(TurnHook.BEFORE_RUN, [failing])
        assert isinstance(caught.value.__cause__, raised)
        await runner.fire(TurnHook.AFTER_RUN, [failing])  # a watching one is only logged

    @pytest.mark.parametrize("limit", [None, 5.0])
    async def test_a_cancellation_from_outside_ends_it_and_goes_on(self, limit: float | None) -> None:
        seen = asyncio.Event()

        async def slow(*_: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.set()

        firing = asyncio.create_task(HookRunner(limit=limit).fire(TurnHook.AFTER_RUN, [slow]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        firing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await firing
        await asyncio.wait_for(seen.wait(), 5)
