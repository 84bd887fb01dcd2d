"""The tools that this process has, by name."""

from collections.abc import Mapping
from typing import Protocol

from pygents_core.hooks import AgentHook, Hook, TurnHook
from pygents_core.registry import HookRegistry, ToolRegistry
from pygents_core.tool import Tool

HOOK_TYPES: Mapping[str, AgentHook | TurnHook] = {str(hook.value): hook for hook in (*AgentHook, *TurnHook)}
"""Every hook type that an agent can be given, by the value that the API uses for it."""


class Tools(Protocol):
    def tools(self) -> Mapping[str, Tool]: ...


class Catalogue:
    """What the user's code had registered when the service started."""

    def __init__(self) -> None:
        self._tools = {tool.metadata.name: tool for tool in ToolRegistry.all()}
        self.lockless = frozenset(name for name, tool in self._tools.items() if tool.lock is None)

    def tools(self) -> Mapping[str, Tool]:
        return self._tools

    def tool(self, name: str) -> Tool | None:
        return self._tools.get(name)


def registered_hooks() -> Mapping[str, Hook]:
    """The hooks that the user's code has registered, by name."""
    return {HookRegistry.name_for(hook): hook for hook in HookRegistry.all()}
