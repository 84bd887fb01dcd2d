"""Putting a backup in the place of a database, and telling everybody that time has gone backwards.

What happened after the backup was made is lost, but clients have seen it: its numbers must not be given out again, and
no cursor may silently go on from an event that is no more. So every agent's log jumps to a number that no event has
ever had, the present time in microseconds, and says so by ``agent.restored``.

Whenever it is cut off, what it leaves is the old database, or one that has jumped, or a refusal to start; never one in
which numbers are given out again. All is made ready in a file beside the target, which then takes the target's name.
"""

import logging
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ..clock import Clock, system_clock
from ..commands import Restore
from ..errors import Damaged, StartupError
from .copying import copy_whole
from .examination import examine
from .inspection import RESTORING, part_of
from .lockfile import LockFile
from .script import apply
from .sqlite import SqliteEngine
from .syncing import sync

log = logging.getLogger(__name__)

PARTS = ("", "-wal", "-shm", "-journal", ".head")


class Jumped(NamedTuple):
    """How many agents, and the names of those whose rows are damaged: they are left as they are."""

    agents: int
    damaged: list[str]


def restore(backup: Path, target: Path, *, force: bool = False, clock: Clock = system_clock) -> tuple[int, Path | None]:
    """Put a copy of ``backup``, jumped, in the place of ``target``. How many agents; where the old one is kept.

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
        if not force and any(part_of(target, part).exists() for part in PARTS):
            raise StartupError(f"{target} exists. Say --force to replace it; the old one is kept beside it.")
        ready = part_of(target, RESTORING)
        agents = _prepare(backup, ready, clock)
        kept = _exchange(ready, target)
    except OSError as error:
        raise StartupError(f"{target} cannot be replaced ({error.strerror}). Do it again.") from None
    finally:
        lock.release()
    return agents, kept


def jump(path: Path, *, clock: Clock = system_clock, reindex: bool = True) -> Jumped:
    """Make every agent of a file that was restored by hand jump, all or none, and take the file as it is.

    ``reindex``: the indexes are made anew, because nobody knows what they have lost.
    Raises ``StartupError`` if it is not there, if a server uses it, or if it cannot be written.
    """
    if not path.is_file() or not path.stat().st_size:
        raise StartupError(f"There is no database {path}.")
    engine = SqliteEngine(path, as_it_is=True)
    try:
        if reindex:
            engine.reindex()
        jumped = _jump(engine, clock())
        engine.vouch()  # only now: until then the start refuses, and that is well
    except (sqlite3.Error, LookupError, ValueError, TypeError) as error:
        engine.rows.rollback()
        log.debug("the jump failed", exc_info=error)
        raise StartupError(f"{path} cannot be gone on with ({error}). Restore a backup: pygents restore.") from None
    finally:
        engine.close()
    return jumped


def _jump(engine: SqliteEngine, now: int) -> Jumped:
    """In one transaction: of a file in which some have jumped nobody could tell which."""
    jumped, damaged = 0, []
    engine.rows.begin()
    for name in engine.names():
        try:
            answer = apply(engine.rows, Restore(name), now)
        except Damaged as damage:
            answer = damage
        if isinstance(answer, Exception):
            damaged.append(name)
        else:
            jumped += 1
    engine.rows.access.drop_all_sessions()  # also those that were signed out since
    engine.rows.commit()
    return Jumped(jumped, damaged)


def _prepare(backup: Path, ready: Path, clock: Clock) -> int:
    """Make ``ready``: one file, on the disk, in which every agent has jumped."""
    leftovers = [part_of(ready, part) for part in (*PARTS, ".lock")]
    _remove(leftovers)
    try:
        _copy(backup, ready)
        agents = jump(ready, clock=clock, reindex=False).agents
        if part_of(ready, "-wal").exists():  # closed, a database has its log in it
            raise StartupError(f"{ready} could not be written to its end. Is there space in {ready.parent}?")
        sync(ready)
    except BaseException:
        _remove(leftovers)
        raise
    _remove(leftovers[1:])
    return agents


def _copy(source: Path, target: Path) -> None:
    try:
        copy_whole(source, target)
    except (OSError, sqlite3.Error) as error:
        raise StartupError(f"{source} cannot be copied to {target.parent} ({error}).") from None


def _exchange(ready: Path, target: Path) -> Path | None:
    kept = _set_aside(target)
    sync(target.parent)
    ready.replace(target)
    sync(target.parent)
    return kept


def _set_aside(target: Path) -> Path | None:
    """All files of the old database under another name, the log with it: they belong together.

    The database itself first: without it and with the restored one beside it nothing starts (``inspection``).
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    kept = target.with_name(f"{target.name}.replaced-{stamp}")
    found = [part for part in PARTS if part_of(target, part).exists()]
    for part in found:
        part_of(target, part).replace(part_of(kept, part))
    return kept if found else None


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
