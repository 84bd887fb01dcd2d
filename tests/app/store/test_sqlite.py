"""What only the SQLite store does: its URL, its file, its lock, its refusals to start, its plans."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pygents_app.clock import system_clock
from pygents_app.commands import CreateAgent, DeleteAgent
from pygents_app.errors import StartupError
from pygents_app.model import Definition
from pygents_app.store import sqlite_rows
from pygents_app.store.local import LocalStore
from pygents_app.store.opening import open_store
from pygents_app.store.sqlite import SqliteEngine
from pygents_app.store.statements import migrations, statements
from pygents_app.store.wal import PAGE_BYTES
from tests.contracts.driver import STARTER, TOOLS, Clock, Driver, record_of, spec

pytestmark = pytest.mark.anyio


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        ["", "pygents.db", "sqlite:pygents.db", "sqlite://x.db", "sqlite:///", "sqlite:///x/", "memory:", "mysql://x"],
    )
    async def test_others_are_refused_with_those_that_are_allowed(self, url: str) -> None:
        with pytest.raises(StartupError, match=r"sqlite:///\./pygents\.db .* memory://"):
            open_store(url)

    async def test_three_slashes_are_relative(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        await open_store("sqlite:///./here.db").close()
        assert (tmp_path / "here.db").is_file()

    async def test_four_slashes_are_absolute(self, tmp_path: Path) -> None:
        await open_store(f"sqlite:////{str(tmp_path).lstrip('/')}/there.db").close()
        assert (tmp_path / "there.db").is_file()


class TestFile:
    async def test_it_is_for_its_owner_only(self, driver: Driver, path: Path) -> None:
        await driver.create()
        files = list(path.parent.iterdir())
        assert {file.name for file in files} >= {"pygents.db", "pygents.db-wal", "pygents.db.lock"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    async def test_reads_leave_no_transaction_open(self, driver: Driver, path: Path) -> None:
        """Or no checkpoint could ever empty the write-ahead log."""
        await driver.create()
        for _ in range(10):
            await driver.submit()
            await asyncio.gather(driver.head(), driver.log(), driver.store.list_turns())
        other = sqlite3.connect(path)
        busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        other.close()
        assert busy == 0

    async def test_durability(self, path: Path) -> None:
        for durability, level in (("full", 2), ("relaxed", 1)):
            engine = SqliteEngine(path, durability=durability)  # type: ignore[arg-type]
            assert engine._writer.execute("PRAGMA synchronous").fetchone() == (level,)
            assert engine._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            engine.close()


class TestSecondServer:
    async def test_of_this_process_is_refused(self, store: LocalStore, path: Path) -> None:
        with pytest.raises(StartupError, match=rf"Another server \(pid {os.getpid()}\) uses .*--store"):
            open_store(f"sqlite:///{path}")
        await store.check()

    def test_of_another_process_is_refused_until_that_ends(self, path: Path) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(StartupError, match=rf"\(pid {holder.pid}\)"):
                open_store(f"sqlite:///{path}")
            holder.kill()
        assert _opens_elsewhere(path)

    async def test_after_a_refusal_the_first_still_holds_it(self, store: LocalStore, path: Path) -> None:
        for _ in range(2):
            with pytest.raises(StartupError):
                open_store(f"sqlite:///{path}")
        assert not _opens_elsewhere(path)


HOLD = """
import sys
from pathlib import Path
from pygents_app.store.sqlite import SqliteEngine
engine = SqliteEngine(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
engine.close()
"""


def _opens_elsewhere(path: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", HOLD, str(path)], input="\n", capture_output=True, text=True, check=False
    )
    return done.returncode == 0


class TestRefusesToStart:
    """Each time in one line that names the file and says what to do, leaving no lock behind."""

    def refusal(self, path: Path) -> str:
        with pytest.raises(StartupError) as caught:
            open_store(f"sqlite:///{path}")
        assert str(path) in caught.value.detail or str(path.parent) in caught.value.detail
        assert "\n" not in caught.value.detail
        return caught.value.detail

    def test_no_folder(self, tmp_path: Path) -> None:
        assert "create it" in self.refusal(tmp_path / "missing" / "pygents.db")

    def test_a_file_where_a_folder_should_be(self, path: Path) -> None:
        path.write_bytes(b"")
        assert "cannot be opened" in self.refusal(path / "pygents.db")

    def test_a_folder(self, path: Path) -> None:
        path.mkdir()
        assert "is a folder" in self.refusal(path)

    def test_not_a_database(self, path: Path) -> None:
        path.write_bytes(b"# Shopping\n" * 1_000)
        assert "not a SQLite database" in self.refusal(path)
        assert path.read_bytes().startswith(b"# Shopping")

    async def test_a_schema_of_another_make(self, path: Path) -> None:
        """The same number on other tables: it would fail at the first command that needs what is not there."""
        await open_store(f"sqlite:///{path}").close()
        with closing(sqlite3.connect(path)) as db:
            db.execute("DROP TABLE purges")
        assert "under development" in self.refusal(path)

    async def test_nothing_is_left_of_a_deleted_agent(self, path: Path) -> None:
        """But the row that knows its numbers; and no row at all once another has the name."""
        store = open_store(f"sqlite:///{path}")
        for _ in range(3):
            driver = Driver(store, Clock())
            await driver.create()
            turn = spec()
            await driver.submit(turn, record=record_of((turn,)))
            await driver.finish(await driver.begin_next(), memory=b"[1]")
            await store.execute(DeleteAgent("a", "tester"))
            while await store.purge(system_clock() + 1, 100):
                pass
        await store.close()
        with closing(sqlite3.connect(path)) as db:
            tables = ("agents", "turns", "events", "records", "memories", "purges")
            counts = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}  # noqa: S608
        assert counts == {"agents": 1} | dict.fromkeys(tables[1:], 0)

    async def test_a_newer_schema(self, path: Path) -> None:
        await open_store(f"sqlite:///{path}").close()
        self.execute(path, "PRAGMA user_version = 999")
        assert "schema version 999" in self.refusal(path)
        self.execute(path, f"PRAGMA user_version = {max(migrations())}")
        await open_store(f"sqlite:///{path}").close()

    def test_the_database_of_another_application(self, path: Path) -> None:
        self.execute(path, "CREATE TABLE recipes (name TEXT)")
        assert "another application" in self.refusal(path)

    def test_where_nobody_may_write(self) -> None:
        """Not even root, for whom the modes of ordinary files do not count."""
        assert "cannot be opened for writing" in self.refusal(Path("/sys/pygents.db"))

    async def test_a_truncated_file(self, path: Path) -> None:
        await open_store(f"sqlite:///{path}").close()
        with path.open("r+b") as file:
            file.truncate(PAGE_BYTES)
        assert "damaged" in self.refusal(path)

    def execute(self, path: Path, statement: str) -> None:
        db = sqlite3.connect(path)
        db.execute(statement)
        db.commit()
        db.close()


class TestCaches:
    async def test_more_agents_than_are_kept(self, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite_rows, "MAX_CACHED", 2)
        names = [f"a{number}" for number in range(6)]
        for name in names:
            await driver.create(name)
        for _ in range(2):
            await asyncio.gather(*(driver.submit(spec(name), starter=STARTER) for name in names))
        begun = [begun for notice in driver.notices for begun in notice.begun]
        assert len(begun) == 6
        for one in begun:
            await driver.append(one, b"1")
            await driver.finish(one)
        for name in names:
            assert (await driver.types(name))[-2:] == ["turn.value", "turn.completed"]
            assert (await driver.head(name)).queued == 1


class TestPlans:
    """No statement of a turn's life may read a table from end to end, however long the history is."""

    # At start, or by way of the agents with work; and pages, which walk in their order as far as they need.
    WALKS = frozenset({
        "count_events_ever", "probe", "count_scheduled", "list_prunable_agents", "list_owned_agents", "list_turns",
        "list_queued_turns", "list_running_turns", "count_commit", "measure", "list_sessions",
    })  # fmt: skip

    @pytest.mark.parametrize("name", sorted(statements()))
    async def test_every_statement_can_be_prepared_and_uses_an_index(
        self, store: LocalStore, path: Path, name: str
    ) -> None:
        text = statements()[name]
        names = ("after", "status", "limit", "agent", "prefix", "prefix_end", "first_agent", "last_agent",
                 "begun", "name")  # fmt: skip
        arguments = dict.fromkeys(names, 1) if "?" not in text else [1] * text.count("?")
        with closing(sqlite3.connect(path)) as db:
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", arguments)]
        # Of a subquery's rows; what they are read from has a step of its own.
        steps = {step for step in plan if step.startswith("SCAN") and not step.startswith("SCAN (subquery-")}
        scans = {step for step in steps if "USING" not in step} - {"SCAN CONSTANT ROW", "SCAN f"}
        assert name in self.WALKS or name.startswith("examine_") or not scans, plan
        assert name in {"list_turns", "probe"} or not scans & {"SCAN t", "SCAN q", "SCAN turns", "SCAN events"}, plan
        assert "SEARCH turns" not in plan, "that walks them from the first on"

    @pytest.mark.parametrize(
        "name", ["find_next_turn", "find_agent", "list_agent_queued_turns", "list_positions", "list_waiting_turns"]
    )
    async def test_mailboxes_are_read_without_the_history(self, store: LocalStore, path: Path, name: str) -> None:
        text = statements()[name]
        arguments = dict.fromkeys(("after", "limit", "agent", "begun"), 1) if "?" not in text else [1] * text.count("?")
        with closing(sqlite3.connect(path)) as db:
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", arguments)]
        assert any("turns_waiting (agent=?" in step for step in plan), plan

    async def test_due_turns_are_found_without_those_of_others_and_without_the_history(
        self, store: LocalStore, path: Path
    ) -> None:
        """Nearly every command of an agent with scheduled turns asks for them."""
        with closing(sqlite3.connect(path)) as db:
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statements()['list_due_turns']}", (1, 1))]
        assert any("turns_scheduled (agent=? AND not_before<?)" in step for step in plan), plan


class TestCheck:
    async def test_a_check_is_a_commit(self, driver: Driver, path: Path) -> None:
        """Or a full disk would go unseen: a page whose bytes stay the same is not written."""
        await driver.create()
        wal = path.with_name("pygents.db-wal")
        for _ in range(3):
            before = wal.stat().st_size
            await driver.store.check()
            assert wal.stat().st_size > before


async def test_a_store_that_was_opened_twice_keeps_its_agents(path: Path) -> None:
    for number in range(3):
        store = open_store(f"sqlite:///{path}")
        reply = await store.execute(CreateAgent(Definition("a", tools=TOOLS)))
        assert reply.created == (number == 0)
        await store.close()
