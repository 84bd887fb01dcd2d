"""A SQLite store on a file of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pygents_app.store.local import LocalStore
from pygents_app.store.opening import open_store
from tests.contracts.driver import Clock, Driver


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pygents.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[LocalStore]:
    opened = open_store(f"sqlite:///{path}")
    yield opened
    await opened.close()


@pytest.fixture
def driver(store: LocalStore) -> Driver:
    return Driver(store, Clock())
