"""When SQLite refuses: a command that cannot be stored, a locked file, a full disk, a failed fsync."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec.structs import replace

from pygents_app.commands import Append, Appended, Command, Enqueue, Enqueued
from pygents_app.errors import ServiceError, StoreFull, Unavailable
from pygents_app.store import sqlite
from pygents_app.store.local import LocalStore
from pygents_app.store.opening import open_store
from pygents_app.store.sqlite import SqliteEngine
from tests.contracts.driver import STARTER, Clock, Driver, spec

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[3]


class TestRolledBack:
    """The database refuses a whole batch: its commands are decided again one by one."""

    async def test_only_the_guilty_command_fails(self, driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
        await driver.create()
        one = spec()
        await driver.submit(one)
        begun = (await driver.claim()).begun
        assert begun is not None
        again = Enqueue("a", (one,), 100)
        good = [Enqueue("a", (spec(),), 100, starter=STARTER) for _ in range(4)]
        commands = [*good[:2], again, *good[2:]]
        answers = await asyncio.gather(*map(driver.store.execute, commands), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Enqueued, Enqueued, ServiceError, Enqueued, Enqueued]
        assert "UNIQUE" not in str(answers[2])
        assert "UNIQUE" in caplog.text
        assert "one by one" in caplog.text
        assert await driver.types() == ["agent.created", "turn.queued", "turn.started", *["turn.queued"] * 4]
        assert (await driver.head()).queued == 4
        await driver.append(begun, b"1")

    async def test_values_of_a_batch_that_was_rolled_back_count_once(self, driver: Driver) -> None:
        """The running turn is cached as the batch left it; deciding again must begin from what is stored."""
        await driver.create()
        one, stored = spec(), spec()
        begun = await driver.begin(one)
        await driver.submit(stored)
        append = Append("a", one.id, begun.fence, (b"1", b"2"))
        again = Enqueue("a", (stored,), 100)
        commands: list[Command] = [append, again, append]
        answers = await asyncio.gather(*map(driver.execute, commands), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Appended, ServiceError, Appended]
        assert (await driver.turn(one.id)).values == 4
        logged = [json.loads(event.data)["index"] for event in await driver.log() if event.type.value == "turn.value"]
        assert logged == [0, 1, 2, 3]

    async def test_text_that_cannot_be_stored(self, driver: Driver) -> None:
        await driver.create()
        bad = Enqueue("a", (replace(spec(), root="\ud800"),), 100)
        answers = await asyncio.gather(
            driver.store.execute(bad), driver.store.execute(Enqueue("a", (spec(),), 100)), return_exceptions=True
        )
        assert type(answers[0]) is ServiceError
        assert isinstance(answers[1], Enqueued)
        assert await driver.types() == ["agent.created", "turn.queued"]

    async def test_a_locked_file_is_waited_for_once(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 100)
        store = open_store(f"sqlite:///{path}")
        driver = Driver(store, Clock())
        await driver.create()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        commands = [Enqueue("a", (spec(),), 1_000) for _ in range(200)]
        answers = await asyncio.wait_for(asyncio.gather(*map(store.execute, commands), return_exceptions=True), 10)
        assert {type(answer) for answer in answers} == {Unavailable}
        with pytest.raises(Unavailable):
            await store.check()
        assert (await driver.head()).queued == 0
        other.execute("ROLLBACK")
        other.close()
        await driver.submit()
        await store.check()
        await store.close()


class TestDamage:
    """Damage that is found while the store is in use; what is found at the start is refused there."""

    async def test_every_caller_gets_an_error_of_the_service(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = open_store(f"sqlite:///{path}")
        driver = Driver(store, Clock())
        await driver.create()
        await driver.submit()
        await store.close()
        damage(path, "turns_by_agent", "turns_waiting", "events_by_seq")
        store = open_store(f"sqlite:///{path}")
        commands = [Enqueue("a", (spec(),), 100) for _ in range(3)]
        answers = await asyncio.gather(*map(store.execute, commands), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 3
        assert "damaged" in str(answers[0])
        with pytest.raises(Unavailable, match="damaged"):
            await store.list_turns("a")
        assert "restore it from a backup" in caplog.text
        await store.close()

    @pytest.mark.parametrize(
        ("error", "code", "expected"),
        [
            (sqlite3.DatabaseError("malformed"), sqlite3.SQLITE_CORRUPT, Unavailable),
            (sqlite3.DatabaseError("malformed"), sqlite3.SQLITE_CORRUPT | 3 << 8, Unavailable),
            (sqlite3.DatabaseError("not a database"), sqlite3.SQLITE_NOTADB, Unavailable),
            (sqlite3.OperationalError("locked"), sqlite3.SQLITE_BUSY, Unavailable),
            (sqlite3.DatabaseError("full"), sqlite3.SQLITE_FULL, StoreFull),
            (sqlite3.IntegrityError("twice"), sqlite3.SQLITE_CONSTRAINT_UNIQUE, ServiceError),
            (sqlite3.ProgrammingError("closed"), None, ServiceError),
            (OverflowError("too large"), None, ServiceError),
        ],
    )
    def test_whatever_happens(
        self, path: Path, error: Exception, code: int | None, expected: type[ServiceError]
    ) -> None:
        if isinstance(error, sqlite3.Error) and code is not None:
            error.sqlite_errorcode = code
        engine = SqliteEngine(path)
        explained = engine.explain(error)
        engine.close()
        assert type(explained) is expected
        assert str(error) not in explained.detail


def damage(path: Path, *names: str) -> None:
    """Overwrite the root pages of tables and indexes."""
    with closing(sqlite3.connect(path)) as db:
        (size,) = db.execute("PRAGMA page_size").fetchone()
        pages = dict(db.execute("SELECT name, rootpage FROM sqlite_schema").fetchall())
    with path.open("r+b") as file:
        for name in names:
            file.seek((pages[name] - 1) * size)
            file.write(b"\xff" * size)


class TestFull:
    async def test_no_pages_left(self, path: Path) -> None:
        engine = SqliteEngine(path)
        store = LocalStore(engine=engine, clock=Clock())
        driver = Driver(store, Clock())
        await driver.create()
        (pages,) = engine._writer.execute("PRAGMA page_count").fetchone()
        engine._writer.execute(f"PRAGMA max_page_count = {pages}")
        accepted = 0
        with pytest.raises(StoreFull):
            for accepted in range(1_000):  # noqa: B007
                await driver.submit()
        assert len(await driver.log()) == 1 + accepted
        assert (await driver.head()).queued == accepted
        engine._writer.execute("PRAGMA max_page_count = 1000000")
        await driver.submit()
        assert len(await driver.log()) == 2 + accepted
        assert [event.seq for event in driver.events()] == list(range(1, accepted + 3))
        await store.close()

    def test_no_space_for_the_file_to_grow(self, path: Path) -> None:
        """In a process of its own, because it limits the size of every file that the process writes."""
        done = subprocess.run(
            [sys.executable, "-c", FILL, str(path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stdout) == (0, "full, read, written again\n"), done.stderr


FILL = """
import asyncio, resource, sys
from pathlib import Path
from pygents_app.errors import StoreFull
from pygents_app.store.opening import open_store
from tests.contracts.driver import Clock, Driver, spec

async def main():
    driver = Driver(open_store("sqlite:///" + sys.argv[1]), Clock())
    await driver.create()
    wal = Path(sys.argv[1] + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 20_000, resource.RLIM_INFINITY))
    accepted, refused = 0, 0
    while refused < 3:
        answers = await asyncio.gather(*(driver.submit() for _ in range(5)), return_exceptions=True)
        assert all(isinstance(answer, StoreFull) for answer in answers if isinstance(answer, Exception)), answers
        full = sum(isinstance(answer, Exception) for answer in answers)
        accepted, refused = accepted + 5 - full, refused + full
    assert len(await driver.log()) == 1 + accepted and (await driver.head()).queued == accepted
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await driver.submit()
    await driver.store.check()
    assert len(await driver.log()) == 2 + accepted and driver.events() == await driver.log()
    await driver.store.close()
    print("full, read, written again")

asyncio.run(main())
"""


class Died(BaseException):
    """In place of the end of the process."""


def _die() -> NoReturn:
    raise Died


class TestFailedSync:
    @pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC])
    def test_ends_the_process(self, path: Path, code: int) -> None:
        engine = SqliteEngine(path, die=_die)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        with pytest.raises(Died):
            engine.explain(error)
        engine.close()

    def test_at_once_and_with_a_status(self, path: Path) -> None:
        done = subprocess.run([sys.executable, "-c", FSYNC, str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "fsync failed" in done.stderr


FSYNC = """
import sqlite3, sys
from pathlib import Path
from pygents_app.store.sqlite import SqliteEngine
engine = SqliteEngine(Path(sys.argv[1]))
error = sqlite3.OperationalError("disk I/O error")
error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
try:
    engine.explain(error)
finally:
    print("lives on", flush=True)
"""
