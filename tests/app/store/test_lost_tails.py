"""Files that look well, only shorter: found at the start. What was cut off before it was acknowledged is no loss."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pygents_app.errors import StartupError
from pygents_app.store.headfile import HeadFile, path_of, read_mark, remove_mark
from pygents_app.store.inspection import LOCK_BYTE, inspect
from pygents_app.store.local import LocalStore
from pygents_app.store.opening import open_store
from pygents_app.store.sqlite import SqliteEngine
from pygents_app.store.sqlite_rows import events_ever
from pygents_app.store.wal import PAGE_BYTES, read_log
from tests.contracts.driver import Clock, Driver, spec

pytestmark = pytest.mark.anyio

PARTS = ("", "-wal", ".head")
FRAME, HEADER = 24 + PAGE_BYTES, 32


def copy(path: Path, folder: Path) -> Path:
    """What the process would leave behind if it were killed now."""
    folder.mkdir()
    for part in PARTS:
        if (source := path.with_name(path.name + part)).exists():
            shutil.copy(source, folder / source.name)
    return folder / path.name


def beside(path: Path, part: str) -> Path:
    return path.with_name(path.name + part)


@contextmanager
def altered(file: Path) -> Iterator[bytearray]:
    content = bytearray(file.read_bytes())
    yield content
    file.write_bytes(content)


async def opens(path: Path) -> int:
    """How many turns are there."""
    store = open_store(f"sqlite:///{path}")
    page = await store.list_turns(limit=1_000)
    await store.close()
    return len(page.items)


def refusal(path: Path) -> str:
    with pytest.raises(StartupError) as refused:
        open_store(f"sqlite:///{path}")
    detail = refused.value.detail
    assert "\n" not in detail
    assert "pygents restore " in detail
    assert "pygents doctor --full" in detail
    return detail


@pytest.fixture
async def killed(driver: Driver, path: Path, tmp_path: Path) -> Path:
    """Ten commits, all of them in the log."""
    await driver.create()
    for _ in range(9):
        await driver.submit(spec())
    return copy(path, tmp_path / "killed")


class TestLog:
    async def test_as_it_was_left(self, killed: Path) -> None:
        log = read_log(beside(killed, "-wal"))
        assert log.frames == (beside(killed, "-wal").stat().st_size - HEADER) // FRAME
        assert not log.lost
        assert await opens(killed) == 9

    async def test_a_bit_in_the_middle(self, killed: Path) -> None:
        """SQLite alone would open it, without a word, as it was some commits ago."""
        wal = beside(killed, "-wal")
        frames = read_log(wal).frames
        for place in (HEADER + 2, HEADER + 9, HEADER + 30, HEADER + frames // 2 * FRAME + 500):
            with altered(wal) as content:
                content[place] ^= 16
            assert "later commits" in refusal(killed)
            with altered(wal) as content:
                content[place] ^= 16
        assert await opens(killed) == 9

    @pytest.mark.parametrize("place", [0, 5, 9, 17, 25, 31])
    async def test_a_bit_in_its_header(self, killed: Path, place: int) -> None:
        with altered(beside(killed, "-wal")) as content:
            content[place] ^= 16
        refusal(killed)

    @pytest.mark.parametrize("place", [4, 12, 600])
    async def test_a_bit_in_the_last_commit(self, killed: Path, place: int) -> None:
        """It was acknowledged: the head file knows."""
        wal = beside(killed, "-wal")
        with altered(wal) as content:
            content[HEADER + (read_log(wal).frames - 1) * FRAME + place] ^= 16
        assert "last events are missing" in refusal(killed)

    @pytest.mark.parametrize("cut", [1, 5000, 100_000])
    async def test_cut_off(self, killed: Path, cut: int) -> None:
        wal = beside(killed, "-wal")
        with altered(wal) as content:
            del content[max(0, len(content) - cut) :]
        assert "missing" in refusal(killed)

    async def test_gone(self, killed: Path) -> None:
        beside(killed, "-wal").unlink()
        refusal(killed)

    async def test_a_hole_of_several_frames(self, killed: Path) -> None:
        wal = beside(killed, "-wal")
        remove_mark(killed)
        with altered(wal) as content:
            content[HEADER + FRAME : HEADER + 4 * FRAME] = bytes(3 * FRAME)
        assert "later commits" in refusal(killed)

    async def test_commits_of_one_page_each_beyond_the_damage(self, driver: Driver, path: Path, tmp_path: Path) -> None:
        """They are not taken for one commit that fills up its sector."""
        await driver.create()
        before = read_log(beside(path, "-wal")).frames
        for _ in range(5):
            await driver.store.check()
        left = copy(path, tmp_path / "left")
        assert read_log(beside(left, "-wal")).frames == before + 5
        with altered(beside(left, "-wal")) as content:
            content[HEADER + before * FRAME + 100] ^= 1
        assert "later commits" in refusal(left)

    async def test_a_last_commit_without_an_event(self, driver: Driver, path: Path, tmp_path: Path) -> None:
        await driver.create()
        begun = await driver.begin()
        before = read_log(beside(path, "-wal")).frames
        events = len(await driver.log())
        await driver.cancel(begun.turn.id)
        assert len(await driver.log()) == events
        left = copy(path, tmp_path / "left")
        with altered(beside(left, "-wal")) as content:
            del content[HEADER + before * FRAME :]
        assert "missing" in refusal(left)

    async def test_that_of_the_index_is_not_needed(self, killed: Path) -> None:
        assert not beside(killed, "-shm").exists()
        assert await opens(killed) == 9


class TestUnacknowledged:
    """The machine stopped while the last commit was being written."""

    @pytest.fixture
    async def torn(self, driver: Driver, path: Path, tmp_path: Path) -> tuple[Path, int, int]:
        """The files with one more commit in the log than the head file knows; its first frame, and how many it has."""
        await driver.create()
        await driver.submit(spec())
        before = read_log(beside(path, "-wal")).frames
        shutil.copy(beside(path, ".head"), tmp_path / "kept")
        await driver.submit(*(spec() for _ in range(30)))
        torn = copy(path, tmp_path / "torn")
        shutil.copy(tmp_path / "kept", beside(torn, ".head"))
        return torn, before, read_log(beside(torn, "-wal")).frames - before

    async def test_it_may_be_whole(self, torn: tuple[Path, int, int]) -> None:
        assert await opens(torn[0]) == 31

    @pytest.mark.parametrize("bytes_of_it", [0, 10, FRAME - 1, FRAME, 3 * FRAME + 100])
    async def test_its_end_may_be_missing(self, torn: tuple[Path, int, int], bytes_of_it: int) -> None:
        path, before, _ = torn
        with altered(beside(path, "-wal")) as content:
            del content[HEADER + before * FRAME + bytes_of_it :]
        assert await opens(path) == 1

    async def test_any_of_its_pages_may_be_missing(self, torn: tuple[Path, int, int]) -> None:
        """The disk writes in whatever order it likes."""
        path, before, frames = torn
        assert frames > 3
        with altered(beside(path, "-wal")) as content:
            start = HEADER + before * FRAME
            content[start + 24 : start + FRAME] = bytes(FRAME - 24)
        assert await opens(path) == 1


class TestDatabase:
    async def test_cut_off(self, driver: Driver, path: Path) -> None:
        await driver.create()
        for _ in range(50):
            await driver.submit(*(spec() for _ in range(15)))
        await driver.store.close()
        whole = path.read_bytes()  # noqa: ASYNC240
        for size in (0, 1, 50, PAGE_BYTES, 5000, len(whole) // 2, len(whole) - PAGE_BYTES, len(whole) - 1):
            path.write_bytes(whole[:size])  # noqa: ASYNC240
            refusal(path)
        path.write_bytes(whole)  # noqa: ASYNC240
        assert await opens(path) == 750

    async def test_one_that_grows_past_the_page_that_is_never_written(self, driver: Driver, path: Path) -> None:
        """That of the byte at 1 GiB: it is in the file once something beyond it is, and in the log never."""
        await driver.create()
        await driver.store.close()
        never_written = LOCK_BYTE // PAGE_BYTES + 1
        with altered(path) as content:
            content[28:32] = (never_written - 10).to_bytes(4, "big")
        os.truncate(path, (never_written - 10) * PAGE_BYTES)
        store = open_store(f"sqlite:///{path}")
        for _ in range(20):
            await Driver(store, Clock()).submit(*(spec() for _ in range(15)))
        log = read_log(beside(path, "-wal"))
        assert log.size > never_written
        assert never_written not in log.pages
        inspect(path)
        os.truncate(path, (never_written - 11) * PAGE_BYTES)
        with pytest.raises(StartupError, match="end is missing"):
            inspect(path)
        os.truncate(path, (never_written - 10) * PAGE_BYTES)
        await store.close()
        assert path.stat().st_size > LOCK_BYTE  # noqa: ASYNC240
        assert await opens(path) == 300

    async def test_an_older_copy_in_its_place(self, driver: Driver, path: Path, tmp_path: Path) -> None:
        await driver.create()
        older = copy(path, tmp_path / "older")
        await driver.submit()
        await driver.store.close()
        for part in ("", "-wal"):
            shutil.copy(beside(older, part), beside(path, part))
        assert "1 of the last events" in refusal(path)

    async def test_without_a_second_witness(self, killed: Path) -> None:
        remove_mark(killed)
        assert await opens(killed) == 9

    async def test_a_damaged_witness_says_nothing(self, killed: Path) -> None:
        with altered(beside(killed, ".head")) as content:
            content[10] ^= 1
        assert read_mark(killed) is None
        assert await opens(killed) == 9

    async def test_a_new_file_that_was_made_empty(self, path: Path) -> None:
        path.touch()  # noqa: ASYNC240
        assert await opens(path) == 0

    @pytest.mark.parametrize("place", [0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 36, 47, 52, 56, 59, 60, 63, 64, 72, 91])
    async def test_a_bit_in_its_header(self, killed: Path, place: int) -> None:
        await opens(killed)
        with altered(killed) as content:
            content[place] ^= 0x41 if place == 63 else 4
        with pytest.raises(StartupError):
            open_store(f"sqlite:///{killed}")


class TestRelaxed:
    """Without a sync for each commit a power cut takes the last ones, rightly."""

    async def test_after_a_power_cut_the_witness_is_not_asked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "pygents.db"
        for synced, exact in ((False, True), (True, True)):
            head = HeadFile(path, synced=synced, events=0)
            head.note(7)
            head.close()
            mark = read_mark(path)
            assert mark == (7, exact)
        HeadFile(path, synced=False, events=7).close()
        head = HeadFile(path, synced=False, events=7)
        head.note(8)
        head.close()
        monkeypatch.setattr("pygents_app.store.headfile._boot_id", lambda: b"another")
        assert read_mark(path) == (8, False)

    async def test_a_hole_in_the_log(self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of commits that nobody synced the disk may have any, without the ones before."""
        store = open_store(f"sqlite:///{path}", durability="relaxed")
        driver = Driver(store, Clock())
        await driver.create()
        for _ in range(9):
            await driver.submit(spec())
        left = copy(path, tmp_path / "left")
        await store.close()
        with altered(beside(left, "-wal")) as content:
            start = HEADER + read_log(beside(left, "-wal")).frames // 2 * FRAME
            content[start : start + FRAME] = bytes(FRAME)
        assert read_log(beside(left, "-wal")).lost
        assert "later commits" in refusal(left)
        with monkeypatch.context() as patch:
            patch.setattr("pygents_app.store.headfile._boot_id", lambda: b"another")
            served = open_store(f"sqlite:///{left}")
            there = len((await served.list_turns()).items)
            assert 0 < there < 9
            await Driver(served, Clock()).submit()
            again = copy(left, tmp_path / "again")
            await served.close()
            assert await opens(again) == there + 1

    async def test_that_commits_are_not_synced_is_known_before_the_first(self, driver: Driver, path: Path) -> None:
        await driver.create()
        await driver.store.close()
        store = open_store(f"sqlite:///{path}", durability="relaxed")
        assert path_of(path).read_bytes()[8] == 0
        assert read_mark(path) == (1, True)
        await store.close()

    async def test_commits_are_noted(self, path: Path) -> None:
        store = open_store(f"sqlite:///{path}", durability="relaxed")
        await Driver(store, Clock()).create()
        await store.close()
        mark = read_mark(path)
        assert mark is not None
        assert mark.events == 1


async def test_a_commit_is_noted_when_it_is_durable_and_not_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, durable = SqliteEngine(path), []

    def note(events: int) -> None:
        with closing(sqlite3.connect(path)) as other:
            durable.append((events, events_ever(other)))

    monkeypatch.setattr(engine.rows, "_note", note)
    driver = Driver(LocalStore(engine=engine, clock=Clock()), Clock())
    await driver.create()
    await driver.submit()
    await driver.store.close()
    assert durable == [(1, 1), (2, 2)]
