"""Putting a backup in the place of a database, and telling everybody that time has gone backwards.

What happened after the backup was made is lost, but clients have seen it: its numbers must not be given out again, and
no cursor may silently go on from an event that is no more. So every agent's log jumps to a number that no event has
ever had, the present time in microseconds, and says so by ``agent.restored``.
"""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ..clock import Clock, system_clock
from ..commands import Restore
from ..errors import StartupError
from .examination import examine
from .local import LocalStore
from .lockfile import LockFile
from .sqlite import SqliteEngine
from .statements import statements

AT_ONCE = 500
PARTS = ("", "-wal", "-shm", "-journal", ".head")


def restore(backup: Path, target: Path, *, force: bool = False, clock: Clock = system_clock) -> tuple[int, Path | None]:
    """Put a copy of ``backup`` in the place of ``target``, and jump. How many agents; where the old one is kept.

    Raises ``StartupError`` if a server uses the target, if it exists and there is no ``force``, or if the backup is
    damaged.
    """
    report = examine(backup, locked=False)
    if report.problems:
        raise StartupError(f"{backup} is damaged ({report.problems[0]}); look at it with `pygents doctor --full`.")
    try:
        lock = LockFile(target)
    except OSError as error:
        raise StartupError(f"Nothing can be written to {target.parent} ({error.strerror}).") from None
    try:
        if not force and any(_part(target, part).exists() for part in PARTS):
            raise StartupError(f"{target} exists. Say --force to replace it; the old one is kept beside it.")
        part = _part(target, ".restoring")
        _copy(backup, part)
        kept = _set_aside(target)
        part.replace(target)
        _sync(target.parent)
    finally:
        lock.release()
    return jump(target, clock=clock), kept


def jump(path: Path, *, clock: Clock = system_clock) -> int:
    """Make every agent of a file that was restored by hand jump, and take the file as it is. How many agents."""
    if not path.is_file() or not path.stat().st_size:
        raise StartupError(f"There is no database {path}.")
    return asyncio.run(_jump(path, clock))


async def _jump(path: Path, clock: Clock) -> int:
    engine = SqliteEngine(path, as_it_is=True)
    store = LocalStore(engine=engine, clock=clock)
    try:
        with closing(sqlite3.connect(path)) as db:
            names = [name for (name,) in db.execute(statements()["list_names"])]
        for start in range(0, len(names), AT_ONCE):
            await asyncio.gather(*(store.execute(Restore(name)) for name in names[start : start + AT_ONCE]))
    finally:
        await store.close()
    return len(names)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
        os.chmod(target, 0o600)
        _sync(target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise StartupError(f"{source} cannot be copied to {target.parent} ({error.strerror}).") from None


def _set_aside(target: Path) -> Path | None:
    """All files of the old database under another name, the log with it: they belong together."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    kept = target.with_name(f"{target.name}.replaced-{stamp}")
    found = [part for part in PARTS if _part(target, part).exists()]
    for part in found:
        _part(target, part).replace(_part(kept, part))
    return kept if found else None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _part(path: Path, part: str) -> Path:
    return path.with_name(path.name + part)
