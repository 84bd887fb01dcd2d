"""Every test of the library defines its own tools, agents and hooks, finds none of others, and leaves none behind."""

from collections.abc import Iterator

import pytest

from pygents_core.agent import AgentRegistry
from pygents_core.hooks import HookRegistry
from pygents_core.serialization import DynamicRegistry
from pygents_core.testing import isolated_registries
from pygents_core.tool import ToolRegistry


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    with isolated_registries():
        for registry in (ToolRegistry, AgentRegistry, HookRegistry, DynamicRegistry):
            registry.clear()
        yield
