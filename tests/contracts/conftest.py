"""Every store under one suite: a further store is a further opener in ``OPENERS``."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pygents_app.ports import Store
from pygents_app.store.opening import open_store as open_url
from tests.contracts.driver import Clock, Driver


@dataclass(slots=True)
class OpenStore:
    """Opens the store under test; ``reopen`` closes it and opens what it left behind."""

    open: Callable[[Clock], Store]
    clock: Clock = field(default_factory=Clock)
    opened: list[Store] = field(default_factory=list)

    def __call__(self) -> Driver:
        store = self.open(self.clock)
        self.opened.append(store)
        return Driver(store, self.clock)

    async def reopen(self) -> Driver:
        await self.close()
        return self()

    async def close(self) -> None:
        while self.opened:
            await self.opened.pop().close()


def _memory(_: Path) -> Callable[[Clock], Store]:
    return lambda clock: open_url("memory://", clock=clock)


def _sqlite(folder: Path) -> Callable[[Clock], Store]:
    return lambda clock: open_url(f"sqlite:///{folder}/pygents.db", clock=clock)


OPENERS: Mapping[str, Callable[[Path], Callable[[Clock], Store]]] = {"memory": _memory, "sqlite": _sqlite}
DURABLE = sorted(set(OPENERS) - {"memory"})


@pytest.fixture(params=sorted(OPENERS))
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    opener = OpenStore(OPENERS[request.param](tmp_path))
    yield opener
    await opener.close()


@pytest.fixture(params=DURABLE)
async def open_durable_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Only stores that keep what they have across ``reopen``."""
    opener = OpenStore(OPENERS[request.param](tmp_path))
    yield opener
    await opener.close()


@pytest.fixture
def driver(open_store: OpenStore) -> Driver:
    return open_store()
