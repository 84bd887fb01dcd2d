"""Hooks: async callbacks around turns, agents and tools, and the one place that runs them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from ._registry import Registry
from .errors import HookFailed, UnregisteredHookError

Hook: TypeAlias = Callable[..., Awaitable[None]]
_K = TypeVar("_K", bound=StrEnum)

log = logging.getLogger("pygents")


class TurnHook(StrEnum):
    """Hooks of one turn. All take the turn; ON_ERROR also the exception, ON_VALUE also the value."""

    BEFORE_RUN = "before_run"
    AFTER_RUN = "after_run"
    ON_TIMEOUT = "on_timeout"
    ON_ERROR = "on_error"
    ON_VALUE = "on_value"


class AgentHook(StrEnum):
    """Hooks of one agent. All take the agent and, BEFORE_TURN apart, the turn; then the value or the exception."""

    BEFORE_TURN = "before_turn"
    AFTER_TURN = "after_turn"
    ON_TURN_VALUE = "on_turn_value"
    ON_TURN_ERROR = "on_turn_error"
    ON_TURN_TIMEOUT = "on_turn_timeout"
    BEFORE_PUT = "before_put"
    AFTER_PUT = "after_put"


class ToolHook(StrEnum):
    """Hooks of one tool: BEFORE_INVOKE takes the merged arguments, AFTER_INVOKE the result or each yielded value."""

    BEFORE_INVOKE = "before_invoke"
    AFTER_INVOKE = "after_invoke"


HookType: TypeAlias = TurnHook | AgentHook | ToolHook
Hooks: TypeAlias = dict[TurnHook | AgentHook, list[Hook]]

# A hook of these types that fails, fails what it guards. All others only watch: their failures are logged.
GUARDING: frozenset[HookType] = frozenset(
    {
        TurnHook.BEFORE_RUN,
        TurnHook.ON_VALUE,
        AgentHook.BEFORE_TURN,
        AgentHook.ON_TURN_VALUE,
        AgentHook.BEFORE_PUT,
        ToolHook.BEFORE_INVOKE,
    }
)
# By value; the values of turn hooks and agent hooks are distinct, because an agent's hooks may hold both.
AGENT_OR_TURN: Mapping[str, TurnHook | AgentHook] = {kind.value: kind for kind in (*TurnHook, *AgentHook)}


def hook_name(hook: Hook) -> str:
    """The name that a hook is registered under unless told otherwise: its ``__name__``, or that of its class."""
    return str(getattr(hook, "__name__", type(hook).__name__))


HookRegistry: Registry[Hook] = Registry("Hook", missing=UnregisteredHookError, name_of=hook_name)


async def run_hooks(hooks: Iterable[Hook], *args: Any, **kwargs: Any) -> None:
    """Await the hooks one after the other; the first exception ends it."""
    for hook in hooks:
        await hook(*args, **kwargs)


class HookRunner:
    """Runs hooks by the rules of their type, each within ``limit`` seconds (None: without limit).

    A watching hook's failure is logged on the logger ``pygents``. A guarding hook's own exception propagates as it is,
    or, if ``wrap`` is true, as the cause of a HookFailed; one that exceeds the limit always raises HookFailed.
    """

    __slots__ = ("limit", "wrap")

    def __init__(self, *, limit: float | None = None, wrap: bool = False) -> None:
        self.limit = limit
        self.wrap = wrap

    async def fire(self, kind: HookType, hooks: Iterable[Hook], /, *args: Any, **kwargs: Any) -> None:
        """Run the hooks in order. For watching hooks, one that fails does not keep the next from running."""
        for hook in hooks:
            called = _called(hook, args, kwargs)
            failure = await called if self.limit is None else await self._limited(kind, hook, called)
            if failure is None:
                continue
            if kind not in GUARDING:
                log.error("Hook %r (%s) failed", hook_name(hook), kind.value, exc_info=failure)
            elif self.wrap and not isinstance(failure, HookFailed):
                raise HookFailed(kind.value, hook_name(hook)) from failure
            else:
                raise failure

    async def _limited(
        self, kind: HookType, hook: Hook, called: Coroutine[Any, Any, BaseException | None]
    ) -> BaseException | None:
        """Run a hook as a task of its own: one that ignores its cancellation is left behind, not waited for."""
        task = asyncio.create_task(called)
        try:
            await asyncio.wait({task}, timeout=self.limit)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            failed = HookFailed(kind.value, hook_name(hook), timed_out=True)
            failed.__cause__ = TimeoutError(f"it took more than {self.limit} s")
            return failed
        return asyncio.CancelledError() if task.cancelled() else task.result()


async def _called(hook: Hook, args: Any, kwargs: Any) -> BaseException | None:
    """Await a hook and return what it raises; in a task of its own, SystemExit would leave the event loop."""
    task = asyncio.current_task()
    cancels = task.cancelling() if task is not None else 0
    try:
        await hook(*args, **kwargs)
    except GeneratorExit:
        raise
    except asyncio.CancelledError as error:
        if task is not None and task.cancelling() > cancels:
            raise
        return error  # the hook's own
    except BaseException as error:
        return error
    return None


def add_hook(table: MutableMapping[_K, list[Hook]], kind: _K, hook: Hook, name: str | None = None) -> None:
    """Register a hook and append it to a table. Raises ValueError if the name is another hook's."""
    HookRegistry.ensure(hook, name)
    table.setdefault(kind, []).append(hook)


def registered(table: Mapping[_K, Iterable[Hook]]) -> dict[_K, list[Hook]]:
    """Return a copy of a table, all hooks in it registered. Raises ValueError if a name is another hook's."""
    copy = {kind: list(hooks) for kind, hooks in table.items()}
    for hook in (hook for hooks in copy.values() for hook in hooks):
        HookRegistry.ensure(hook)
    return copy


def hook_names(table: Mapping[_K, Iterable[Hook]]) -> dict[str, list[str]]:
    """The table with names instead of functions and plain strings as keys."""
    return {kind.value: [HookRegistry.name_for(hook) for hook in hooks] for kind, hooks in table.items()}


def hooks_from_names(names: Mapping[str, Iterable[str]]) -> Hooks:
    """The reverse of ``hook_names`` for agents and turns; UnregisteredHookError for a name that is not registered."""
    return {AGENT_OR_TURN[kind]: [HookRegistry.get(name) for name in of_kind] for kind, of_kind in names.items()}
