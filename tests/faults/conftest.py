"""One server for each file of tests, an agent for each test; tests that kill the server have one of their own."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.caller import Caller, calling
from tests.service import Service, serving

AGENTS = Path(__file__).with_name("agents.py")
GRACE = 0.4
"""Seconds that code has to stop: short, because some of it does not."""


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("server"), AGENTS, settings={"cancel_grace": GRACE}) as service:
        yield service


@pytest.fixture
def service(_shared: Service) -> Iterator[Service]:
    """The server that the tests of a file share. What it logs in a test is shown if the test fails."""
    before = len(_shared.log)
    yield _shared
    print(f"--- server log ---\n{_shared.log[before:][-8000:]}")


@pytest.fixture
async def caller(service: Service) -> AsyncIterator[Caller]:
    async with calling(service.url) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start a server for this test alone: ``own(setting=value)``."""
    with ExitStack() as stack:

        def start(**settings: object) -> Service:
            settings.setdefault("cancel_grace", GRACE)
            return stack.enter_context(serving(tmp_path, AGENTS, settings=settings))

        yield start
