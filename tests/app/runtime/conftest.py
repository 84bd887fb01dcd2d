"""Tests that define tools define their own, find none of others, and leave none behind."""

from collections.abc import Iterator

import pytest

from pygents_core.registry import AgentRegistry, DynamicRegistry, HookRegistry, ToolRegistry
from pygents_core.testing import isolated_registries


@pytest.fixture
def registries() -> Iterator[None]:
    with isolated_registries():
        for registry in (ToolRegistry, AgentRegistry, HookRegistry, DynamicRegistry):
            registry.clear()
        yield
