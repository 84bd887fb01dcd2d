"""``pygents doctor``: whether this machine is fit to serve, and with ``--full`` whether a database file is whole."""

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..errors import StartupError
from ..store.examination import Report, examine

SYNCS = 20
FIXED_IN = (3, 51, 3)
"""Before, two connections that write and checkpoint at the same moment could damage the log ("WAL-reset bug")."""
LITTLE_SPACE = 1 << 30


def check_machine(database: Path) -> None:
    """Print what matters; ``database`` need not exist yet."""
    folder = database.parent if database.parent.is_dir() else Path()
    for name, found in _findings(folder):
        print(f"{name:10} {found}")


def check_file(database: Path) -> None:
    """Print a report. Exits with 1 if anything is wrong. Raises ``StartupError`` if the file cannot be looked at."""
    report = examine(database)
    for line in _report(report):
        print(line)
    if report.problems:
        sys.exit(1)


def _findings(folder: Path) -> Iterator[tuple[str, str]]:
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.release()}"
    yield "SQLite", _sqlite()
    yield "sync", _sync(folder)
    free = shutil.disk_usage(folder).free
    yield "space", f"{free / 2**30:.1f} GiB free in {folder.resolve()}" + (" - LOW" if free < LITTLE_SPACE else "")
    yield "clock", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _sqlite() -> str:
    note = "" if sqlite3.sqlite_version_info >= FIXED_IN else (
        " - has the WAL-reset bug: let no other program write to the database while it is served"
    )  # fmt: skip
    return sqlite3.sqlite_version + note


def _sync(folder: Path) -> str:
    """How long a write to the disk takes there: every commit waits for one."""
    times: list[float] = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(SYNCS):
                began = time.perf_counter()
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - began)
    except OSError as error:
        raise StartupError(f"No file can be written in {folder.resolve()} ({error.strerror}).") from None
    times.sort()
    return f"{times[SYNCS // 2] * 1000:.2f} ms (median of {SYNCS}), {times[-1] * 1000:.2f} ms at most"


def _report(report: Report) -> Iterator[str]:
    yield "Looked at " + ", ".join(f"{count:,} {kind}" for kind, count in report.counted.items()) + "."
    yield from (f"- {problem}" for problem in report.problems)
    if report.more:
        yield f"- and {report.more} more"
    if not report.problems:
        yield "Everything is as it was written."
    else:
        yield "The file is damaged: restore a backup (pygents restore), or go on with what is left (pygents restored)."
