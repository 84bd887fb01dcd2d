"""One service for all tests of a file: each test makes agents of its own in it."""

from collections.abc import Iterator

import pytest

from pygents_app.settings import Settings
from tests.app.api.serving import Served, serving

KEY = "a-key-for-the-tests-0123456789"


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with serving(Settings(max_body=64 * 1024, allowed_hosts=("agents.example.org",))) as served:
        yield served


@pytest.fixture(scope="module")
def locked() -> Iterator[Served]:
    """A service with a key, reachable by any name."""
    settings = Settings.model_validate({"host": "0.0.0.0", "admin_key": KEY})  # noqa: S104
    with serving(settings) as served:
        yield served
