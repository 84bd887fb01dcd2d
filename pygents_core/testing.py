"""Helpers for tests of tools, hooks and agents."""

import inspect
import itertools
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from .agent import Agent
from .hooks import AgentHook, Hook, Hooks, TurnHook
from .registry import AgentRegistry, DynamicRegistry, HookRegistry, ToolRegistry
from .tool import Tool
from .turn import Turn

_NUMBERS = itertools.count(1)


@contextmanager
def isolated_registries() -> Iterator[None]:
    """Put all registries back, at the end of the block, as they were before it. They are not emptied for it."""
    restores = [registry.snapshot() for registry in (ToolRegistry, AgentRegistry, HookRegistry, DynamicRegistry)]
    try:
        yield
    finally:
        for restore in restores:
            restore()


async def run_agent(agent: Agent, *turns: Turn[Any]) -> list[tuple[Turn[Any], Any]]:
    """Put the turns, run the agent until its mailbox is empty, and return the pairs of turn and value."""
    for turn in turns:
        await agent.put(turn)
    return [pair async for pair in agent.run()]


class ScriptedTool(Tool):
    """A tool without a body: its n-th call does what the n-th step of its script says. ``calls`` has the arguments."""

    def __init__(self, name: str, steps: tuple[Any, ...], *, streaming: bool) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self._steps = list(steps)

        async def value(*args: Any, **kwargs: Any) -> Any:
            return _perform(self._next(args, kwargs))

        async def values(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            for item in self._next(args, kwargs):
                yield _perform(item)

        fn = values if streaming else value
        fn.__name__ = fn.__qualname__ = name
        super().__init__(fn)

    def _next(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls.append((args, kwargs))
        if not self._steps:
            raise AssertionError(f"{self!r} was called {len(self.calls)} times; its script is shorter")
        return self._steps.pop(0)


def scripted_tool(name: str, *steps: Any, streaming: bool = False) -> ScriptedTool:
    """Register and return a tool that takes any arguments and whose calls return ``steps``, one after the other.

    An exception among them is raised. With ``streaming``, every step is a list of values to yield, or to raise. A call
    beyond the last step raises AssertionError.
    """
    made = ScriptedTool(name, steps, streaming=streaming)
    ToolRegistry.register(made)
    return made


class RecordingHooks:
    """Hooks that only record: ``events`` has the type and the arguments of each call, in order.

    ``RecordingHooks(TurnHook.ON_VALUE).hooks`` is what ``Agent(hooks=…)`` takes; without types it is all of them.
    """

    def __init__(self, *kinds: TurnHook | AgentHook) -> None:
        self.events: list[tuple[TurnHook | AgentHook, tuple[Any, ...]]] = []
        self.hooks: Hooks = {kind: [self._recorder(kind)] for kind in kinds or (*TurnHook, *AgentHook)}

    @property
    def kinds(self) -> list[TurnHook | AgentHook]:
        """The types alone."""
        return [kind for kind, _ in self.events]

    def _recorder(self, kind: TurnHook | AgentHook) -> Hook:
        async def record(*args: Any) -> None:
            self.events.append((kind, args))

        # Hooks are registered by name: every recorder needs one of its own.
        record.__name__ = f"record_{kind.value}_{next(_NUMBERS)}"
        return record


def _perform(step: Any) -> Any:
    if isinstance(step, BaseException) or (inspect.isclass(step) and issubclass(step, BaseException)):
        raise step
    return step
