"""The imitated power cut is one: it takes what was not synced, also in part, and nothing that was."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.chaos import power
from tests.faults.chaos.power import Write, cut, unsynced
from tests.helpers import eventually_sync

pytestmark = pytest.mark.skipif(power.COMPILER is None, reason="needs a C compiler (gcc)")

WRITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE IF NOT EXISTS t (a)")
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.execute(f"PRAGMA synchronous = {sys.argv[2]}")
while True:
    db.execute("INSERT INTO t VALUES (1)")
    print("acknowledged", flush=True)
"""


def write_until_killed(folder: Path, synchronous: str) -> int:
    """How many rows were acknowledged before the process was killed."""
    out = folder / "out"
    environ = {**os.environ, "LD_PRELOAD": str(power.compiled(folder)), "POWER_SYNC_MICROS": "500"}
    with out.open("wb") as file:
        command = [sys.executable, "-c", WRITER, str(folder / "a.db"), synchronous]
        process = subprocess.Popen(command, stdout=file, env=environ)
        eventually_sync(lambda: out.stat().st_size > 600, timeout=20)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    return out.read_bytes().count(b"\n")


def rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "a.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found: int = db.execute("SELECT count(*) FROM t").fetchone()[0]
        return found


@pytest.mark.parametrize("seed", range(6))
def test_what_was_synced_stays(tmp_path: Path, seed: int) -> None:
    acknowledged = write_until_killed(tmp_path, "FULL")
    cut(tmp_path, random.Random(seed))
    assert acknowledged <= rows(tmp_path) <= acknowledged + 1


def test_what_was_not_synced_goes(tmp_path: Path) -> None:
    acknowledged = write_until_killed(tmp_path, "NORMAL")
    class_ = type("Nothing", (random.Random,), {"choice": lambda self, of: "nothing"})
    assert cut(tmp_path, class_()) > 0
    assert rows(tmp_path) < acknowledged


def test_a_torn_write(tmp_path: Path) -> None:
    """Undone wholly, then done again sector by sector: each has the old bytes or the new ones, and some have each."""
    file, log = tmp_path / "a.db", tmp_path / "a.db.unsynced"
    old, new = b"o" * 512 * 64, b"n" * 512 * 64
    file.write_bytes(new + b"longer")
    first = power.HEAD.pack(ord("W"), 0, len(new), len(old), len(old)) + old + new
    second = power.HEAD.pack(ord("W"), len(new), 6, 0, len(new)) + b"longer"
    log.write_bytes(first + second + power.HEAD.pack(ord("W"), 0, 9, 9, 9) + b"cut off")
    assert unsynced(log.read_bytes()) == [
        Write(False, 0, len(old), old, new),
        Write(False, len(new), len(new), b"", b"longer"),
    ]
    class_ = type("Sectors", (random.Random,), {"choice": lambda self, of: "sectors"})
    lost = cut(tmp_path, class_(1))
    found = file.read_bytes()
    sectors = {found[start : start + 512] for start in range(0, len(new), 512)}
    assert sectors == {b"o" * 512, b"n" * 512}
    assert found[len(new) :] in (b"", b"longer")
    assert 0 < lost < len(new)
    assert not log.exists()


def test_a_truncation(tmp_path: Path) -> None:
    file = tmp_path / "a.db-wal"
    file.write_bytes(b"ab")
    (tmp_path / "a.db-wal.unsynced").write_bytes(power.HEAD.pack(ord("T"), 2, 0, 3, 5) + b"cde")
    class_ = type("Nothing", (random.Random,), {"choice": lambda self, of: "nothing"})
    cut(tmp_path, class_())
    assert file.read_bytes() == b"abcde"
