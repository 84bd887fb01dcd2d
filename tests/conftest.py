"""Rules that hold for every test: the event loop is asyncio's, nothing is left behind, and in CI nothing is skipped."""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from hypothesis import settings

from tests.leaks import nothing_left, tasks_beyond

# Not PYGENTS_…: the service refuses to start when it sees a variable of that prefix that it does not know.
STRICT = "CI_STRICT" in os.environ

# No deadline: two busy cores make any single example slow now and then. In CI the same examples every time.
settings.register_profile("local", deadline=None)
settings.register_profile("strict", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("strict" if STRICT else "local")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves threads or descriptors behind, unless it is marked ``keeps_open(reason)``."""
    if request.node.get_closest_marker("keeps_open"):
        yield
        return
    with nothing_left():
        yield


@pytest.fixture
async def no_leaked_tasks(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that leaves asyncio tasks behind on its loop; each async test gets this by itself."""
    before = asyncio.all_tasks()
    yield
    if not request.node.get_closest_marker("keeps_open"):
        left = await tasks_beyond(before)
        assert not left, f"left behind: {', '.join(left)}"


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> None:
    is_test = isinstance(collector, pytest.Module | pytest.Class) and collector.funcnamefilter(name)
    if is_test and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("no_leaked_tasks")(obj)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI_STRICT allows no skips: {call.excinfo}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, and CI_STRICT allows no skips: {report.longrepr}"
    return report
