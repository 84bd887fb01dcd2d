"""Every test of the library defines its own tools, agents and hooks, and leaves none behind."""

from collections.abc import Iterator

import pytest

from pygents_core.testing import isolated_registries


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    with isolated_registries():
        yield
