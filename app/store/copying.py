"""A consistent copy of a database that is being written: ``VACUUM INTO``, in one read transaction of its own."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from ..clock import new_id
from .inspection import compare, inspect
from .owning import open_own
from .sqlite_rows import events_ever
from .syncing import sync

SUFFIX = ".copy-"


def copy_to(database: Path, target: Path) -> None:
    """``target`` must not exist; it is on the disk when this returns. Raises ``sqlite3.Error`` and leaves nothing."""
    os.close(open_own(target, os.O_RDWR | os.O_EXCL))  # for its owner only, from the first byte
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as db:
            db.execute("VACUUM INTO ?", (str(target),))
        sync(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def copy_whole(database: Path, target: Path) -> None:
    """Of a database that nobody serves; also what is only in its write-ahead log.

    Raises ``StartupError`` if something of what was committed is missing: a copy would look as if all were there.
    """
    found = inspect(database)
    copy_to(database, target)
    try:
        with closing(sqlite3.connect(target)) as db:
            compare(database, found.mark, events_ever(db))
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def open_copy(database: Path) -> BinaryIO:
    """A copy that has no name any more: whatever becomes of its reader, nothing stays behind."""
    target = database.with_name(f"{database.name}{SUFFIX}{new_id()}")
    copy_to(database, target)
    try:
        return target.open("rb")
    finally:
        target.unlink()


def remove_copies(database: Path) -> None:
    """What a process left that ended while it made one."""
    for left in database.parent.glob(f"{database.name}{SUFFIX}*"):
        left.unlink(missing_ok=True)
