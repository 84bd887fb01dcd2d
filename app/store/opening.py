"""From the setting ``store`` to a store."""

import sqlite3
import stat
from contextlib import closing
from urllib.parse import quote

from ..clock import Clock, system_clock
from ..telemetry import Emit, silent
from .engine import Engine
from .local import LocalStore
from .memory import MemoryEngine
from .naming import file_of
from .sqlite import Durability, SqliteEngine
from .statements import statements


def open_store(
    url: str, *, durability: Durability = "full", clock: Clock = system_clock, emit: Emit = silent
) -> LocalStore:
    """Open the store that ``url`` names; what is not there yet is created, folders are not.

    Raises ``StartupError``, in one line that says what to do, for a URL of another form, a file that another server
    uses, or one that is not a database of this version of pygents.
    """
    return LocalStore(engine=_engine(url, durability), clock=clock, emit=emit)


def doubt_of_folder(url: str) -> str | None:
    """What is to be said if everybody on the machine may put another file where the store's is.

    In a folder like ``/tmp`` (sticky) only the owner of a file may. It is no reason to refuse: the volumes of some
    clusters, and the disks of another system, have such folders only, and nobody else who could write there.
    """
    if (file := file_of(url)) is None:
        return None
    mode = file.parent.stat().st_mode
    if mode & stat.S_ISVTX or not mode & stat.S_IWOTH:
        return None
    return (
        f"everybody on this machine can write to the folder {file.parent}, and put another database in place of this "
        f"one: chmod o-w {file.parent}, or give --store a file elsewhere"
    )


def has_keys(url: str) -> bool:
    """Whether the store has any, void or not. Looks, and makes nothing; a server may use it meanwhile.

    Raises ``StartupError`` for a URL that names no store, ``OSError`` if nobody may look.
    """
    path = file_of(url)
    if path is None or not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
            return db.execute(statements()["find_any_key"]).fetchone() is not None
    except sqlite3.Error:  # from before there were keys, or no database of ours: the start tells
        return False


def _engine(url: str, durability: Durability) -> Engine:
    path = file_of(url)
    return SqliteEngine(path, durability=durability) if path is not None else MemoryEngine()
