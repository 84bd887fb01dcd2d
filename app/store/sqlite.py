"""The engine on one SQLite file: one writing connection in the committer's thread, a few reading ones beside it.

Only SQL of SQLite 3.40. WAL, and with ``durability="full"`` an fsync for every commit: what was answered survives a
power cut. With "relaxed" it survives the end of the process only; a power cut may take the last commits, but it does
not damage the file.
"""

import asyncio
import errno
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, Literal, NoReturn

from .. import failpoints
from ..errors import Damaged, ServiceError, StartupError, StoreFull, Unavailable
from .copying import open_copy, remove_copies
from .engine import Snapshot, T
from .fetching import fetch_all
from .headfile import HeadFile
from .inspection import Found, compare, damage, inspect
from .lockfile import LockFile
from .migrations import migrate
from .owning import open_own
from .sqlite_purge import purge
from .sqlite_reads import SqliteSnapshot
from .sqlite_rows import SqliteRows, events_ever
from .statements import statements
from .wal import PAGE_BYTES

log = logging.getLogger(__name__)

Durability = Literal["full", "relaxed"]
Die = Callable[[], NoReturn]

READERS = 3
BUSY_MILLISECONDS = 5_000
"""How long to wait for a lock of somebody else on the file: a shell, a copy being made."""
CHECKPOINT_PAGES = 8_000
JOURNAL_LIMIT_BYTES = 64 * 1024 * 1024
WRITER_CACHE_KIB = 16 * 1024
MOST_TOLD = 1_000
"""Damages that are logged, each once."""

FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
"""No space: ENOSPC is FULL, a quota or a limit on file sizes comes as a failed write."""
BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_BUSY_SNAPSHOT})
FATAL = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
"""After a failed fsync nobody knows what is on the disk, and a second one that succeeds proves nothing."""
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Primary codes: damage is found wherever it is read, and its extended codes say where."""


def die() -> NoReturn:
    """End the process at once: no handler may run on, because what it would answer may not be on the disk."""
    os._exit(1)


def bind_as_they_are() -> None:
    """Let ``sqlite3`` bind NULLs and blobs without looking for somebody who could adapt them.

    Up to Python 3.11 it asks three protocols for each and raises an error for two: with the columns of a turn that is a
    fifth of the time of a commit. It asks the adapters first, and these give back what they are given. They are those
    of the whole process: one that the user's code has registered for ``None`` or ``bytes`` is replaced, once.
    """
    if sys.version_info < (3, 12):
        sqlite3.register_adapter(type(None), _as_it_is)
        sqlite3.register_adapter(bytes, _as_it_is)


def _as_it_is(value: T) -> T:
    return value


class SqliteEngine:
    """Implements ``engine.Engine``. Reads and writes run in threads; ``close`` only once nothing calls it any more."""

    def __init__(self, path: Path, *, durability: Durability = "full", die: Die = die, as_it_is: bool = False) -> None:
        """Open or create the file. Raises ``StartupError`` if another server uses it or it cannot be used.

        ``as_it_is``: also if something of what was committed is missing, which is then forgotten.
        """
        self._path, self._die = path, die
        self._told: set[str] = set()
        self._lock = _locked(path)
        self._connections: list[sqlite3.Connection] = []
        self._head: HeadFile | None = None
        try:
            found = inspect(path) if not as_it_is else Found()
            remove_copies(path)
            self._writer = self._open_writer(path, durability, ours=found.mark is not None)
            events = events_ever(self._writer)
            compare(path, found.mark, events)
            self._writer.execute(statements()["probe"]).fetchall()
            if not as_it_is:
                _check_scheduled(self._writer, path)
            if found.holes:
                log.warning("a power cut has taken the last commits: say `pygents restored` if clients have seen them")
                self._forget_log()
            self._head = HeadFile(path, synced=durability == "full", events=events)
            self._idle: SimpleQueue[SqliteSnapshot] = SimpleQueue()
            for _ in range(READERS):
                self._idle.put(SqliteSnapshot(self._open_reader(path), tell=self._tell))
        except BaseException as error:
            self._close_files()
            if isinstance(error, sqlite3.Error | OSError | UnicodeDecodeError):
                raise _startup_error(path, error) from error
            raise
        self.rows = SqliteRows(self._writer, note=self._head.note)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    def _open_writer(self, path: Path, durability: Durability, *, ours: bool) -> sqlite3.Connection:
        """``ours``: a mark beside the file says that it is a database of this service, whatever its header says."""
        db = self._connect(path)
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; others stay as they are
        migrate(db, str(path), ours=ours)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {JOURNAL_LIMIT_BYTES}")
        db.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        # Refuses at once where only reading is allowed, instead of at the first command.
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
        return db

    def _open_reader(self, path: Path) -> sqlite3.Connection:
        db = self._connect(path)
        db.execute("PRAGMA query_only = 1")
        return db

    def _connect(self, path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MILLISECONDS / 1000)
        self._connections.append(db)
        return db

    def explain(self, error: Exception) -> ServiceError:
        if isinstance(error, Damaged):
            self._tell(error)
            return error
        code = getattr(error, "sqlite_errorcode", None)
        if code in FATAL:
            log.critical("fsync failed (%s); the process ends, because what is on the disk is not known", error)
            self._die()
        if code in FULL:
            return StoreFull("There is no space left to store this. Free some, then send it again.")
        if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
            log.error("the store cannot write: %s", error)
            return Unavailable("The store cannot write now. Send it again later.", headers={"Retry-After": "1"})
        if _is_damage(error):
            log.error("the database is damaged (%s): stop the service and restore it from a backup", error)
            return Unavailable("The database is damaged. It must be restored from a backup.")
        log.error("the store could not do what was asked", exc_info=error)
        return ServiceError("The store could not do this; nothing was written. The log says why.")

    def check(self) -> None:
        try:
            # Another value each time: SQLite does not write a page whose bytes stay the same.
            self._writer.execute(statements()["update_check"], (time.time_ns(),))
        except sqlite3.Error as error:
            raise self.explain(error) from error

    def purge(self, deleted_before: int, limit: int) -> int:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            removed = purge(self._writer, deleted_before, limit)
            if failpoints.ARMED and removed:
                failpoints.hit("in-purge")
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            explained = self.explain(error)
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise explained from error
        return removed

    def backup(self) -> BinaryIO:
        try:
            return open_copy(self._path)
        except (sqlite3.Error, OSError) as error:
            log.error("no copy of the database could be made: %s", error)
            if getattr(error, "errno", None) == errno.ENOSPC or getattr(error, "sqlite_errorcode", None) in FULL:
                raise StoreFull("There is no space left for a copy. Free as much as the database takes.") from error
            raise Unavailable("No copy of the database could be made now; the log says why.") from error

    def sizes(self) -> tuple[int, int]:
        return _size_of(self._path), _size_of(Path(f"{self._path}-wal"))

    def names(self) -> list[str]:
        """Of all agents, also of deleted ones that hold theirs. On the writing thread."""
        return [name for (name,) in fetch_all(self._writer, statements()["list_names"], ())]

    def reindex(self) -> None:
        """From the rows themselves, which have checksums. On the writing thread."""
        self._writer.execute("REINDEX")

    def vouch(self) -> None:
        """Take the database as it is: from now on this is what must not be lost. On the writing thread."""
        self._forget_log()
        if self._head is not None:
            self._head.note(events_ever(self._writer))

    def _forget_log(self) -> None:
        """What lies beyond the part that was taken would look like a loss the next time."""
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    async def read(self, query: Callable[[Snapshot], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, query)
        except Damaged as error:
            self._tell(error)
            raise
        except (sqlite3.Error, RuntimeError) as error:
            log.error("the store cannot be read: %s", error)
            if _is_damage(error):
                raise self.explain(error) from error
            raise Unavailable("The store cannot be read now. Try again later.") from error
        except (TypeError, ValueError, LookupError) as error:  # what came is not what can have been written
            raise self.explain(error) from error

    def _tell(self, damage: Damaged) -> None:
        """Once: whoever meets it will try again and again."""
        if damage.detail not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(damage.detail)
            log.error("%s", damage.detail)

    def _read(self, query: Callable[[Snapshot], T]) -> T:
        snapshot = self._idle.get()
        try:
            return query(snapshot)
        finally:
            self._idle.put(snapshot)

    def close(self) -> None:
        self._threads.shutdown()
        if failpoints.ARMED:
            failpoints.hit("in-close")
        self._close_files()

    def _close_files(self) -> None:
        for db in self._connections:
            db.close()
        if self._head is not None:
            self._head.close()
        self._lock.release()


def _check_scheduled(db: sqlite3.Connection, path: Path) -> None:
    """A delayed turn that its index does not have would never begin, and nobody would notice."""
    if len(set(db.execute(statements()["count_scheduled"]).fetchone())) > 1:
        raise damage(path, "An index of the delayed turns is not complete")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _is_damage(error: Exception) -> bool:
    if isinstance(error, UnicodeDecodeError) or "decode to UTF-8" in str(error):  # also in SQLite's own messages
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def _locked(path: Path) -> LockFile:
    """Make the file, for its owner only, and take its lock."""
    try:
        lock = LockFile(path)
    except OSError as error:
        raise _startup_error(path, error) from error
    try:
        os.close(open_own(path))
    except OSError as error:
        lock.release()
        raise _startup_error(path, error) from error
    return lock


def _startup_error(path: Path, error: Exception) -> StartupError:
    if isinstance(error, FileNotFoundError):
        folder = path.parent
        why = f"No file can be made in {folder};" if folder.is_dir() else f"There is no folder {folder}; create it, or"
        return StartupError(f"{why} give --store another file.")
    if isinstance(error, IsADirectoryError):
        return StartupError(f"{path} is a folder; give --store a file in it, for example {path / 'pygents.db'}.")
    return _unusable(path, error)


def _unusable(path: Path, error: Exception) -> StartupError:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_NOTADB:
        return StartupError(f"{path} is not a SQLite database. Give --store another file.")
    if _is_damage(error):
        return damage(path, "SQLite cannot read it")
    if code in FULL or getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
        return StartupError(
            f"There is no space left for {path}. Free some, or give --store a file elsewhere.", passes=True
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return StartupError(
        f"{path} cannot be opened for writing ({reason}). Give --store a file that can.", passes=code in BUSY
    )


bind_as_they_are()
