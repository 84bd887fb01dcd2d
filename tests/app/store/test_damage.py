# ruff: noqa: S608 (the changes are made up here)
"""Bits that are not what was written: found at the start or when they are read, never served, never executed."""

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pygents_app.commands import PatchAgent
from pygents_app.errors import Damaged, ServiceError, StartupError
from pygents_app.model import KeyRecord, Trace
from pygents_app.store.local import LocalStore
from pygents_app.store.opening import open_store
from tests.contracts.driver import START, STARTER, Clock, Driver, record_of, spec

pytestmark = pytest.mark.anyio

FLIPS = 150


async def fill(driver: Driver) -> KeyRecord:
    """Something in every table, and free pages."""
    await driver.create()
    await driver.create("b", description="another")
    for number in range(20):
        begun = await driver.begin()
        await driver.append(begun, b'"%s"' % (b"x" * 700), b"%d" % number)
        await driver.finish(begun, memory=b'["remembered"]')
    one = replace(spec(), trace=Trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1"))
    record = record_of((one,))
    await driver.submit(one, record=record)
    await driver.submit(spec("b"), spec("b", not_before=START + 10**12))
    return record


@pytest.fixture
async def filled(path: Path) -> AsyncIterator[Path]:
    store = open_store(f"sqlite:///{path}")
    await fill(Driver(store, Clock()))
    await store.close()
    yield path


class Opened:
    """A store that is closed when the block ends."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __aenter__(self) -> Driver:
        self._store: LocalStore = open_store(f"sqlite:///{self._path}")
        return Driver(self._store, Clock())

    async def __aexit__(self, *_: object) -> None:
        await self._store.close()


def change(path: Path, statement: str, *arguments: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement, arguments).rowcount == 1


class TestEvents:
    @pytest.mark.parametrize(
        "changes",
        [
            "data = X'7B7D'", "data = NULLIF(0, 1)", "data = CAST(data AS TEXT)", "type = 'turn.error'", "type = 'x'",
            "turn = 'x'", "turn = NULL", "attempt = 9", "attempt = NULL", "time = time + 1", "seq = 100000",
            "crc = crc + 1", "turn = CAST(X'FF41' AS TEXT)", "agent = 2",
        ],
    )  # fmt: skip
    async def test_a_damaged_one_is_never_served(self, filled: Path, changes: str) -> None:
        async with Opened(filled) as driver:
            before = await driver.log()
        change(filled, f"UPDATE events SET {changes} WHERE agent = 1 AND seq = 9")
        async with Opened(filled) as driver:
            assert await driver.store.read_events("a", 0, 100) == before[:8]
            with pytest.raises(Damaged) as found:
                await driver.store.read_events("a", 8, 100)
            assert found.value.fields["agent"] == "a"
            assert "doctor --full" in found.value.detail
            assert await driver.store.read_events("a", 9, 100) == before[9:]

    async def test_a_missing_one_is_not_passed_over(self, filled: Path) -> None:
        change(filled, "DELETE FROM events WHERE agent = 1 AND seq = 9")
        async with Opened(filled) as driver:
            assert len(await driver.store.read_events("a", 0, 100)) == 8
            for _ in range(2):
                with pytest.raises(Damaged):
                    await driver.store.read_events("a", 8, 100)

    async def test_it_is_told_once(self, filled: Path, caplog: pytest.LogCaptureFixture) -> None:
        change(filled, "UPDATE events SET attempt = 9 WHERE agent = 1 AND seq = 9")
        async with Opened(filled) as driver:
            for _ in range(3):
                with pytest.raises(Damaged):
                    await driver.store.read_events("a", 8, 100)
        assert caplog.text.count("Event 9 of agent 'a'") == 1


class TestTurns:
    @pytest.mark.parametrize(
        "changes",
        [
            "args = X'5B315D'", "args = NULLIF(0, 1)", "kwargs = X'7B226B223A317D'", "metadata = CAST('{}' AS TEXT)",
            "tool = 'count'", "tool = 'unknown'", "tool = CAST(X'FF' AS TEXT)", "timeout = 1e9", "timeout = 'x'",
            "hops = 3", "retry = '{'", "retry = '{\"max_attempts\": 99}'", "parent_agent = 'z'", "crc = 0",
            "created_at = 5", "not_before = 7", "first_seq = first_seq + 1", "root = 'z'", "retry_of = 'z'",
            "parent_id = 'z', parent_agent = 'a'",
        ],
    )  # fmt: skip
    async def test_a_damaged_one_is_not_shown_and_its_neighbours_go_on(self, filled: Path, changes: str) -> None:
        async with Opened(filled) as driver:
            waiting = (await driver.store.list_turns("a")).items[-1].turn
            last = spec()
            await driver.submit(last)
        change(filled, f"UPDATE turns SET {changes} WHERE id = ?", waiting.id)
        async with Opened(filled) as driver:
            with pytest.raises(Damaged) as found:
                await driver.store.get_turn(waiting.id)
            assert found.value.fields == {"agent": "a", "turn_id": waiting.id}
            with pytest.raises(Damaged):
                await driver.store.list_turns("a")
            begun = (await driver.claim()).begun
            assert begun is not None
            assert begun.turn.damaged
            await driver.finish(begun, starter=STARTER)
            following = driver.notices[-1].begun[0].turn
            assert (following.id, following.damaged) == (last.id, False)

    @pytest.mark.parametrize(
        "changes", ["output = X'31'", "error = X'31'", "status = 'error'", "status = 'queued'", "value_count = 9",
                    "cancel_by = 'x'", "end_crc = NULL", "end_time = 1", "last_seq = 4", "crashes = 1", "spared = 1",
                    "retry_at = 1", "started_seq = 1", "attempt = 2", "start_time = 1", "position = 9"],
    )  # fmt: skip
    async def test_how_one_ended(self, filled: Path, changes: str) -> None:
        async with Opened(filled) as driver:
            first = (await driver.store.list_turns("a")).items[0].turn
        change(filled, f"UPDATE turns SET {changes} WHERE id = ?", first.id)
        async with Opened(filled) as driver:
            with pytest.raises(Damaged):
                await driver.store.get_turn(first.id)


class TestOthers:
    @pytest.mark.parametrize(
        "changes",
        ["latest = latest + 1", "earliest = 2", "paused = 1", "queued = 0", "epoch = 0", "node = 'n'",
         "definition = replace(definition, 'greet', 'great')", "definition = '{'", "created_at = 1", "head_crc = 0"],
    )  # fmt: skip
    async def test_an_agents_row(self, filled: Path, changes: str) -> None:
        change(filled, f"UPDATE agents SET {changes} WHERE name = 'a'")
        async with Opened(filled) as driver:
            attempts: list[Awaitable[Any]] = [
                driver.store.get_agent("a"), driver.submit(), driver.claim(), driver.execute(PatchAgent("a", {})),
            ]  # fmt: skip
            for attempt in attempts:
                with pytest.raises(Damaged):
                    await attempt
            assert (await driver.head("b")).queued == 1
            await driver.submit(spec("b"))

    @pytest.mark.parametrize("changes", ["epoch = 99", "definition = '{'", "name = CAST(X'62FF' AS TEXT)"])
    async def test_lists_pass_over_it_and_say_so_once(
        self, filled: Path, changes: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Opened(filled) as driver:
            await driver.create("c")
            await driver.create("d")
        change(filled, f"UPDATE agents SET {changes} WHERE name = 'b'")
        async with Opened(filled) as driver:
            for limit in (1, 2, 3, 100):
                names: list[str] = []
                after = None
                while len(names) < 4:
                    page = await driver.store.list_agents(after=after, limit=limit)
                    names += [listed.head.name for listed in page.items]
                    after = page.next
                    if after is None:
                        break
                assert names == ["a", "c", "d"]
        assert len([record for record in caplog.records if "is not what was written" in record.message]) == 1

    async def test_others_of_its_batch_are_not_harmed(self, filled: Path) -> None:
        change(filled, "UPDATE agents SET queued = 7 WHERE name = 'a'")
        async with Opened(filled) as driver:
            answers = await asyncio.gather(*(driver.submit(spec(name)) for name in "abab"), return_exceptions=True)
            assert [isinstance(answer, Damaged) for answer in answers] == [True, False, True, False]

    async def test_a_memory(self, filled: Path) -> None:
        change(filled, "UPDATE memories SET data = X'5B5D'")
        async with Opened(filled) as driver:
            with pytest.raises(Damaged):
                await driver.store.read_memory("a")

    @pytest.mark.parametrize("changes", ["digest = X'00'", "turn_ids = 'x'"])
    async def test_the_record_of_a_key(self, filled: Path, changes: str) -> None:
        change(filled, f"UPDATE records SET {changes}")
        async with Opened(filled) as driver:
            with pytest.raises(Damaged):
                await driver.submit(spec(), record=record_of((spec(),)))


Part = list[Any]


async def read_all(driver: Driver) -> dict[str, Part | ServiceError]:
    """The rows of each kind that the store shows, or the error that took their place."""
    store = driver.store

    async def agents() -> Part:
        return [listed.head for listed in (await store.list_agents()).items]

    async def turns() -> Part:
        """Of those that have not ended what was asked for: their counters change too often to be summed up."""
        shown = [placed.turn for placed in (await store.list_turns()).items]
        return [turn if turn.ended else turn.spec for turn in shown]

    async def memory() -> Part:
        found = await store.read_memory("a")
        return [found] if found is not None else []

    reads = {"agents": agents(), "turns": turns(), "memory": memory()}
    reads |= {f"log of {name}": store.read_events(name, 0, 1_000) for name in "ab"}
    found: dict[str, Part | ServiceError] = {}
    for name, read in reads.items():
        try:
            found[name] = await read
        except ServiceError as error:
            found[name] = error
    return found


class TestIndexes:
    """They have no checksums; but what is done must be recorded, and what waits must be found."""

    async def test_nothing_begins_without_a_record(self, filled: Path) -> None:
        """The index of the turns' ids has lost one that waits: nobody would notice that its rows stay as they are."""
        with closing(sqlite3.connect(filled)) as db:
            (waiting,) = db.execute("SELECT id FROM turns WHERE status = 'queued' AND agent = 2").fetchone()
        await asyncio.to_thread(lose_from_index, filled, "sqlite_autoindex_turns_1", waiting)
        async with Opened(filled) as driver:
            with pytest.raises(Damaged, match="index of the turns"):
                await driver.claim("b")
            await driver.create("c")
            listed = await driver.store.get_agent("b")
            assert listed is not None and listed.head.current is None

    @pytest.mark.parametrize("index", ["turns_by_due", "turns_scheduled"])
    async def test_delayed_turns_that_would_never_begin(self, filled: Path, index: str) -> None:
        await asyncio.to_thread(empty_index, filled, index)
        with pytest.raises(StartupError, match=r"delayed turns.*pygents restore"):
            open_store(f"sqlite:///{filled}")


def lose_from_index(path: Path, index: str, key: str) -> None:
    """Change the key where the index has it."""
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (index,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    place = content.index(key.encode(), (root - 1) * size, root * size)
    content[place + len(key) - 1] ^= 1
    path.write_bytes(content)


def empty_index(path: Path, index: str) -> None:
    """As it would be if its rows were lost."""
    with closing(sqlite3.connect(path)) as db, db:
        (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (index,)).fetchone()
    for text in (sql.replace("= 'scheduled'", "= 'never'"), sql):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA writable_schema = 1")
            db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (text, index))
        if text != sql:
            with closing(sqlite3.connect(path)) as db:
                db.execute(f"REINDEX {index}")


def flip(path: Path, offset: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << bit
    path.write_bytes(content)


class TestHeaders:
    """Bytes of the header that SQLite leaves to applications; the file is known by its .head file."""

    @pytest.mark.parametrize("offset", [60, 61, 62, 63, 68, 69, 70, 71])
    @pytest.mark.parametrize("bit", [0, 7])
    async def test_the_refusal_says_what_to_do(self, filled: Path, offset: int, bit: int) -> None:
        await asyncio.to_thread(flip, filled, offset, bit)
        with pytest.raises(StartupError) as refused:
            open_store(f"sqlite:///{filled}")
        assert "pygents restore" in refused.value.detail or "newer one" in refused.value.detail


async def test_no_flipped_bit_is_ever_served(filled: Path, tmp_path: Path) -> None:
    """What is not refused at the start is an error, or as it was.

    A row may be missing from a list, if it is its index that is damaged; from a log only what comes after the damage.
    """
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    async with Opened(filled) as driver:
        expected = await read_all(driver)
    whole = filled.read_bytes()  # noqa: ASYNC240
    copy = tmp_path / "copy.db"
    outcomes: Counter[str] = Counter()
    for _ in range(FLIPS):
        place, bit = dice.randrange(len(whole)), dice.randrange(8)
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        copy.write_bytes(flipped)
        shutil.copy(f"{filled}.head", f"{copy}.head")
        try:
            async with Opened(copy) as driver:
                found = await read_all(driver)
        except StartupError:
            outcomes["refused"] += 1
            continue
        for name, rows in found.items():
            before = expected[name]
            if isinstance(rows, list) and isinstance(before, list):
                kept = before[: len(rows)] if name.startswith("log") else [row for row in before if row in rows]
                assert rows == kept, f"bit {bit} of byte {place}: {name} was altered"
        outcomes["same" if found == expected else "error"] += 1
    print(dict(outcomes))
    assert outcomes["error"]
