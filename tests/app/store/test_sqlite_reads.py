"""Reads beside writes: what takes several statements is of one moment."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pygents_app.model import TurnStatus
from pygents_app.store import sqlite_reads
from pygents_app.store.fetching import Arguments, fetch_all
from pygents_app.store.statements import statements
from tests.contracts.driver import Driver

pytestmark = pytest.mark.anyio

Before = Callable[[str, Callable[[], None]], None]


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Do something, once, just before a statement is executed by a reader."""

    def prepare(statement: str, meanwhile: Callable[[], None]) -> None:
        todo = [meanwhile]

        def fetch(db: sqlite3.Connection, sql: str, arguments: Arguments) -> list[tuple[Any, ...]]:
            if sql == statements()[statement] and todo:
                todo.pop()()
            return fetch_all(db, sql, arguments)

        monkeypatch.setattr(sqlite_reads, "fetch_all", fetch)

    return prepare


async def test_retention_beside_a_reader_is_not_taken_for_damage(driver: Driver, path: Path, before: Before) -> None:
    await driver.create()
    for _ in range(10):
        await driver.submit()
    events = await driver.log()

    def prune() -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE agents SET earliest = 7 WHERE name = 'a'")
            assert db.execute("DELETE FROM events WHERE seq < 7").rowcount == 6

    before("list_events", prune)
    assert await driver.store.read_events("a", 2, 100) == events[2:]
    assert await driver.store.read_events("a", 2, 100) == events[6:]


async def test_a_list_of_turns_is_of_one_moment(driver: Driver, path: Path, before: Before) -> None:
    await driver.create()
    await driver.submit()

    def purge() -> None:
        with closing(sqlite3.connect(path)) as db, db:
            assert db.execute("DELETE FROM turns").rowcount == 1

    before("list_agent_queued_turns", purge)
    assert len((await driver.store.list_turns("a", status=TurnStatus.QUEUED)).items) == 1
    assert not (await driver.store.list_turns("a", status=TurnStatus.QUEUED)).items
