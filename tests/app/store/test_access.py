"""The tables of keys, tickets and the audit log: how files get them, and what becomes of damage in them."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from pygents_app.access.commands import BeginSession, CreateKey, IssueTicket, LogEntry, RedeemTicket, audited
from pygents_app.access.records import NO_LIMITS, AccessKey, Actor, Entry, KeyLimits, Session, Ticket
from pygents_app.commands import Pause
from pygents_app.errors import Damaged, ServiceError, Unauthorized
from pygents_app.grants import Grant, Scope
from pygents_app.model import Asker
from pygents_app.store.examination import examine
from pygents_app.store.opening import open_store
from pygents_app.store.statements import migrations
from tests.contracts.driver import Clock, Driver, spec

pytestmark = pytest.mark.anyio

KEY = AccessKey("k1", "root", b"1" * 32, (Grant(Scope.ADMIN),), 0)
ENTRY = Entry(Actor("k1", "root"), "backup")
TICKET = Ticket(b"t" * 32, "k1", ("a",), None)


VIEW = migrations()[1]
WITHOUT_ASKERS = (
    "DROP VIEW turn_rows",
    *(f"ALTER TABLE turns DROP COLUMN {column}" for column in ("request", "charged")),
    VIEW[VIEW.index("CREATE VIEW turn_rows") : VIEW.index("-- The oldest that waits")].strip().removesuffix(";"),
)
"""What makes a file one from before turns knew who asked for them."""


def opened(path: Path) -> Driver:
    return Driver(open_store(f"sqlite:///{path}"), Clock())


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def schema(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name").fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pygents.db"


async def test_a_file_from_before_gets_them(path: Path) -> None:
    """All that was in it is still there, and it takes keys."""
    driver = opened(path)
    await driver.create()
    turn = (await driver.submit()).turns[0].turn
    await driver.store.close()
    later = ("keys", "tickets", "audit", "traces", "sessions")
    dropped = [f"DROP TABLE {table}" for table in later]
    execute(path, *WITHOUT_ASKERS, "DROP TRIGGER traces_go_with_turns", *dropped, "PRAGMA user_version = 1")
    with closing(sqlite3.connect(path)) as before, closing(sqlite3.connect(":memory:")) as first:
        first.executescript(migrations()[1])
        assert schema(before) == schema(first)
    assert not examine(path).problems
    driver = opened(path)
    assert await driver.turn(turn.id) == turn
    await driver.store.execute(CreateKey(KEY, ENTRY))
    assert [key.id for key in await driver.store.all_keys()] == ["k1"]
    await driver.store.close()
    assert not examine(path).problems


async def test_a_key_from_before_there_were_limits(path: Path) -> None:
    """A backup of then is whole, and can be served."""
    driver = opened(path)
    await driver.store.execute(CreateKey(KEY, ENTRY))
    await driver.create()
    turn = (await driver.submit()).turns[0].turn
    await driver.store.close()
    columns = [f"ALTER TABLE keys DROP COLUMN {column}" for column in KeyLimits._fields]
    execute(path, *WITHOUT_ASKERS, *columns, "DROP TABLE sessions", "PRAGMA user_version = 3")
    report = examine(path)
    assert (report.problems, report.counted["keys"], report.counted["turns"]) == ([], 1, 1)
    driver = opened(path)
    (key,) = await driver.store.all_keys()
    assert (key.damaged, key.limits) == (False, NO_LIMITS)
    assert await driver.turn(turn.id) == turn
    await driver.store.close()
    assert not examine(path).problems


class TestDamage:
    @pytest.mark.parametrize("limits", [NO_LIMITS, KeyLimits(5, 10, 2), KeyLimits(streams=0)])
    async def test_a_limit_that_is_damaged(self, path: Path, limits: KeyLimits) -> None:
        driver = opened(path)
        await driver.store.execute(CreateKey(replace(KEY, limits=limits), ENTRY))
        await driver.store.close()
        driver = opened(path)
        assert [key.limits for key in await driver.store.all_keys()] == [limits]
        await driver.store.close()
        execute(path, "UPDATE keys SET rate = 6")
        driver = opened(path)
        assert [key.damaged for key in await driver.store.all_keys()] == [True]
        await driver.store.close()

    @pytest.mark.parametrize("damage", ["charged = 'k2'", "request = NULL", "charged = NULL", "request = 5"])
    async def test_who_asked_for_a_turn_that_is_damaged(self, path: Path, damage: str) -> None:
        driver = opened(path)
        await driver.create()
        turn = (await driver.submit(structs.replace(spec(), asker=Asker("r-1", "k1")))).turns[0].turn
        await driver.store.close()
        execute(path, f"UPDATE turns SET {damage}")  # noqa: S608 (of this test)
        driver = opened(path)
        with pytest.raises(Damaged):
            await driver.turn(turn.id)
        await driver.store.close()
        assert examine(path).problems == [f"Turn {turn.id} of agent 'a' is damaged."]

    async def test_a_key_that_is_damaged_admits_nobody_and_is_there(self, path: Path) -> None:
        """If it were not, the service would take itself for one without keys, and let everybody in."""
        driver = opened(path)
        await driver.store.execute(CreateKey(KEY, ENTRY))
        await driver.store.close()
        execute(path, "UPDATE keys SET grants = 'admin@a*'")
        driver = opened(path)
        (key,) = await driver.store.all_keys()
        assert (key.id, key.grants, key.digest, key.damaged) == ("k1", (), b"", True)
        assert not key.valid(0)
        await driver.store.close()
        assert examine(path).problems == ["The key 'k1' is not what was written."]

    async def test_a_ticket_that_is_damaged_is_void(self, path: Path) -> None:
        driver = opened(path)
        await driver.store.execute(IssueTicket(TICKET))
        await driver.store.close()
        execute(path, "UPDATE tickets SET until = NULL")
        driver = opened(path)
        with pytest.raises(Unauthorized):
            await driver.store.execute(RedeemTicket(TICKET.digest, "/s", "a"))
        await driver.store.close()

    async def test_a_session_that_is_damaged_is_none(self, path: Path) -> None:
        driver = opened(path)
        await driver.store.execute(BeginSession(Session(b"s" * 32, "k1", None)))
        await driver.store.close()
        execute(path, "UPDATE sessions SET key = 'k2'")
        driver = opened(path)
        assert await driver.store.all_sessions() == []
        await driver.store.close()

    async def test_an_entry_that_is_damaged_is_not_served(self, path: Path) -> None:
        driver = opened(path)
        await driver.store.execute(LogEntry(ENTRY))
        await driver.store.close()
        with closing(sqlite3.connect(path)) as db, db:
            (trigger,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'audit_never_changes'").fetchone()
            for statement in ("DROP TRIGGER audit_never_changes", "UPDATE audit SET actor = 'k2'", trigger):
                db.execute(statement)
        driver = opened(path)
        with pytest.raises(Damaged, match="Entry 1 of the audit log"):
            await driver.store.list_audit()
        await driver.store.close()
        assert examine(path).problems == ["Entry 1 of the audit log is not what was written."]


async def test_what_cannot_be_logged_is_not_done(path: Path) -> None:
    driver = opened(path)
    await driver.create()
    execute(path, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no more'); END")
    with pytest.raises(ServiceError):
        await driver.store.execute(audited(Pause("a"), ENTRY))
    assert not (await driver.head()).paused
    assert await driver.types() == ["agent.created"]
    await driver.store.close()


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"])
async def test_the_audit_log_is_append_only(path: Path, statement: str) -> None:
    driver = opened(path)
    await driver.store.execute(LogEntry(ENTRY))
    await driver.store.close()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        execute(path, statement)
