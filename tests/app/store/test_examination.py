"""The full check of a file finds whatever is wrong in it, and changes nothing."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pygents_app.commands import Prune
from pygents_app.errors import StartupError
from pygents_app.store.examination import examine
from pygents_app.store.local import LocalStore
from pygents_app.store.opening import open_store
from pygents_app.store.wal import PAGE_BYTES
from tests.app.store.test_damage import fill
from tests.contracts.driver import Clock, Driver

pytestmark = pytest.mark.anyio


@pytest.fixture
async def filled(path: Path) -> Path:
    store = open_store(f"sqlite:///{path}")
    driver = Driver(store, Clock())
    await fill(driver)
    await driver.create("c")
    await driver.execute(Prune("a", 50, 0, 2**62, 500))
    await driver.execute(Prune("a", 50, 0, 2**62, 500))
    await driver.claim()
    await store.close()
    return path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement).rowcount > 0


async def test_a_whole_file(filled: Path) -> None:
    report = examine(filled)
    assert report.problems == []
    assert report.counted["agents"] == 3
    assert report.counted["events"] > 50
    assert report.counted["memories"] == report.counted["traces"] == report.counted["idempotency keys"] == 1


async def test_a_file_of_another_build_is_not_called_damaged(filled: Path) -> None:
    """Nothing is wrong in it; only its tables are not those that this version reads."""
    with closing(sqlite3.connect(filled)) as db:
        db.execute("ALTER TABLE agents ADD COLUMN of_another_build")
    with pytest.raises(StartupError, match="but not as this version of pygents makes it"):
        examine(filled)


def test_what_is_no_database_is_told_once(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    problems = examine(path).problems
    assert len(problems) == len(set(problems))
    assert not [problem for problem in problems if "ok" in problem.split()]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE events SET time = 1 WHERE agent = 1 AND seq = 90", "Event 90 of agent 'a' is damaged"),
        ("DELETE FROM events WHERE agent = 1 AND seq = 90", "goes from 89 to 91"),
        ("DELETE FROM events WHERE agent = 1 AND seq >= 100", "ends with 99"),
        ("DELETE FROM events WHERE agent = 3", "has 0 events"),
        ("UPDATE events SET agent = 77 WHERE agent = 1", "belong to no agent"),
        ("UPDATE turns SET args = X'31' WHERE first_seq = 92", "is damaged"),
        ("UPDATE turns SET output = X'31' WHERE first_seq = 92", "is damaged"),
        ("DELETE FROM turns WHERE first_seq = 92", "does not belong to its turn"),
        ("UPDATE turns SET status = 'queued' WHERE status = 'completed'", "and should have"),
        ("UPDATE agents SET queued = 7 WHERE name = 'a'", "The row of agent 'a'"),
        ("UPDATE agents SET definition = '{}' WHERE name = 'a'", "The definition of an agent"),
        ("UPDATE memories SET data = X'31'", "The memory of agent 'a'"),
        ("UPDATE records SET digest = X'31'", "Idempotency-Key"),
        ("UPDATE traces SET tracestate = ''", "The trace of turn"),
        ("UPDATE traces SET turn = 'nobody', crc = 0", "is of turn nobody, which is missing"),
        ("DELETE FROM sqlite_sequence WHERE name = 'events'", "last events are missing"),
    ],
)
async def test_what_is_wrong_is_told(filled: Path, statement: str, told: str) -> None:
    change(filled, statement)
    assert any(told in problem for problem in examine(filled).problems), examine(filled).problems


async def test_a_page_that_is_nonsense(filled: Path) -> None:
    content = bytearray(filled.read_bytes())  # noqa: ASYNC240
    for page in range(3, len(content) // PAGE_BYTES, 3):
        content[page * PAGE_BYTES : page * PAGE_BYTES + 100] = b"\xff" * 100
    filled.write_bytes(content)  # noqa: ASYNC240
    report = examine(filled)
    assert any("SQLite:" in problem or "cannot be read" in problem for problem in report.problems)


async def test_what_a_kill_leaves_is_not_touched(driver: Driver, path: Path, tmp_path: Path) -> None:
    await fill(driver)
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in ("pygents.db", "pygents.db-wal", "pygents.db.head"):
        shutil.copy(path.with_name(name), folder / name)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert examine(folder / "pygents.db").problems == []
    assert {name: (folder / name).read_bytes() for name in before} == before


async def test_not_while_it_is_served(store: LocalStore, path: Path) -> None:
    with pytest.raises(StartupError, match="Another server"):
        examine(path)
    await store.check()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="no file"):
        examine(tmp_path / "missing.db")
