# ruff: noqa: ASYNC221 (the process is short)
"""Restores that are cut off, and files that are gone on with as they are."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pygents_app.commands import DeleteAgent
from pygents_app.errors import StartupError
from pygents_app.model import EventType, Head
from pygents_app.store import restoring
from pygents_app.store.copying import copy_to, copy_whole
from pygents_app.store.headfile import HeadFile
from pygents_app.store.inspection import RESTORING, part_of
from pygents_app.store.opening import open_store
from pygents_app.store.sqlite_rows import SqliteRows
from tests.app.store.test_damage import empty_index
from tests.contracts.driver import START, Clock, Driver, spec

pytestmark = pytest.mark.anyio

NAMES = ("a", "b", "c")
STEPS = ("os.rename", "os.remove", "sqlite3.connect", "commit")
CUT = f"""
import os, signal, sys
from pathlib import Path
from pygents_app.store import restoring
from pygents_app.store.sqlite_rows import SqliteRows

left, commit = int(sys.argv[1]), SqliteRows.commit

def step(event, _=None):
    global left
    if event in {STEPS}:
        left -= 1
    if not left and event != "os.kill":
        os.kill(os.getpid(), signal.SIGKILL)

def committing(rows):
    step("commit")
    commit(rows)
    step("commit")

SqliteRows.commit = committing
sys.addaudithook(step)
restoring.restore(Path(sys.argv[2]), Path(sys.argv[3]), force=True)
"""
JUMPED = 1_000_000_000_000_000


async def heads(path: Path) -> dict[str, Head]:
    store = open_store(f"sqlite:///{path}")
    found = {listed.head.name: listed.head for listed in (await store.list_agents()).items}
    await store.close()
    return found


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement).rowcount == 1


@pytest.fixture
async def killed(driver: Driver, path: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A backup, and what a process that went on from there has left when it was killed."""
    for name in NAMES:
        await driver.create(name)
    copy_to(path, tmp_path / "backup")
    for name in NAMES:
        await driver.submit(spec(name))
    left = tmp_path / "left"
    left.mkdir()
    for file in (path, part_of(path, "-wal"), part_of(path, ".head")):
        shutil.copy(file, left)
    return tmp_path / "backup", left / path.name


class TestRestore:
    async def test_cut_off_anywhere_no_number_is_given_out_again(
        self, killed: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """The old database, or one in which every agent has jumped, or none that starts."""
        backup, old = killed
        found = []
        for step in range(1, 100):
            folder = tmp_path / f"{step}"
            shutil.copytree(old.parent, folder)
            target = folder / old.name
            command = [sys.executable, "-c", CUT, str(step), str(backup), str(target)]
            code = subprocess.run(command, timeout=30, check=False).returncode
            found.append(await self.left_by(target))
            if code == 0:
                break
            assert code == -signal.SIGKILL
            assert restoring.restore(backup, target, force=True)[0] == 3
            assert all(head.latest > JUMPED for head in (await heads(target)).values())
            assert not list(folder.glob(f"*{RESTORING}*"))
            assert list(folder.glob("*.replaced-*"))
        assert list(dict.fromkeys(found)) == ["old", "refused", "jumped"]
        assert found.count("old") > 10

    async def left_by(self, target: Path) -> str:
        try:
            left = await heads(target)
        except StartupError as refusal:
            assert "pygents restore" in refusal.detail
            return "refused"
        assert sorted(left) == list(NAMES)
        if all(head.latest > JUMPED for head in left.values()):
            return "jumped"
        assert {head.latest for head in left.values()} == {2}
        return "old"

    async def test_the_log_of_the_old_one_is_not_mixed_in(self, killed: tuple[Path, Path]) -> None:
        """It is of another database, though of the same name, and would be read into the restored one."""
        backup, target = killed
        _, kept = restoring.restore(backup, target, force=True)
        assert kept is not None
        assert not part_of(target, "-wal").exists()
        assert {head.queued for head in (await heads(target)).values()} == {0}
        assert {head.queued for head in (await heads(kept)).values()} == {1}

    async def test_what_is_only_in_the_log_of_a_backup_is_restored_too(
        self, killed: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """A database that a killed process has left is a backup like any other."""
        _, left = killed
        agents, _ = restoring.restore(left, tmp_path / "new.db")
        assert agents == 3
        assert {head.queued for head in (await heads(tmp_path / "new.db")).values()} == {1}

    async def test_while_it_is_made_ready_no_server_can_start(
        self, killed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backup, target = killed
        commit, refused = SqliteRows.commit, []

        def committing(rows: SqliteRows) -> None:
            with pytest.raises(StartupError, match="Another server"):
                open_store(f"sqlite:///{target}")
            refused.append(1)
            commit(rows)

        monkeypatch.setattr(SqliteRows, "commit", committing)
        restoring.restore(backup, target, force=True)
        assert refused


class TestJump:
    async def test_all_or_none(self, killed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        _, path = killed

        def fail(rows: SqliteRows) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(SqliteRows, "commit", fail)
            with pytest.raises(StartupError, match="disk I/O error"):
                restoring.jump(path)
        assert {head.latest for head in (await heads(path)).values()} == {2}

    async def test_what_is_missing_is_forgotten_though_nobody_jumps_with_a_word(self, path: Path) -> None:
        """All agents are deleted, so none logs anything."""
        store = open_store(f"sqlite:///{path}")
        driver = Driver(store, Clock())
        await driver.create()
        await driver.execute(DeleteAgent("a", "me", False, frozenset()))
        await store.close()
        head = HeadFile(path, synced=True, events=0)
        head.note(50)
        head.close()
        with pytest.raises(StartupError, match="missing"):
            await heads(path)
        assert restoring.jump(path) == (1, [])
        assert await heads(path) == {}

    @pytest.mark.parametrize("changes", ["epoch = epoch + 1", "definition = '{'", "name = CAST(X'FF41' AS TEXT)"])
    async def test_damaged_agents_are_left_as_they_are(self, path: Path, changes: str) -> None:
        store = open_store(f"sqlite:///{path}")
        for name in NAMES:
            await Driver(store, Clock()).create(name)
        await store.close()
        change(path, f"UPDATE agents SET {changes} WHERE name = 'b'")  # noqa: S608
        agents, (damaged,) = restoring.jump(path)
        assert agents == 2
        assert damaged == "b" or "name" in changes
        store = open_store(f"sqlite:///{path}")
        for name in ("a", "c"):
            assert [event.type for event in await store.read_events(name, 1, 9)] == [EventType.AGENT_RESTORED]
        await store.close()

    async def test_the_indexes_are_made_anew(self, path: Path) -> None:
        """They have no checksums, and what one has lost would never begin."""
        store = open_store(f"sqlite:///{path}")
        driver = Driver(store, Clock())
        await driver.create()
        await driver.submit(spec(not_before=START + 10**12))
        await store.close()
        await asyncio.to_thread(empty_index, path, "turns_by_due")
        with pytest.raises(StartupError, match="delayed turns"):
            await heads(path)
        assert restoring.jump(path) == (1, [])
        store = open_store(f"sqlite:///{path}")
        assert await store.next_due() is not None
        await store.close()


class TestCopy:
    async def test_what_has_lost_its_end_is_not_copied_as_if_all_were_there(
        self, killed: tuple[Path, Path], tmp_path: Path
    ) -> None:
        _, left = killed
        part_of(left, "-wal").unlink()
        with pytest.raises(StartupError, match="missing"):
            copy_whole(left, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
