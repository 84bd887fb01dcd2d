"""From the setting ``store`` to a store."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ..clock import Clock, system_clock
from ..errors import StartupError
from ..telemetry import Emit, silent
from .engine import Engine
from .local import LocalStore
from .memory import MemoryEngine
from .sqlite import Durability, SqliteEngine
from .statements import statements

SQLITE = "sqlite:///"
ALLOWED = "sqlite:///./pygents.db (relative), sqlite:////absolute/path.db (four slashes) or memory://"


def open_store(
    url: str, *, durability: Durability = "full", clock: Clock = system_clock, emit: Emit = silent
) -> LocalStore:
    """Open the store that ``url`` names; what is not there yet is created, folders are not.

    Raises ``StartupError``, in one line that says what to do, for a URL of another form, a file that another server
    uses, or one that is not a database of this version of pygents.
    """
    return LocalStore(engine=_engine(url, durability), clock=clock, emit=emit)


def has_keys(url: str) -> bool:
    """Whether the store has any, void or not. Looks, and makes nothing; a server may use it meanwhile."""
    path = Path(url.removeprefix(SQLITE))
    if not url.startswith(SQLITE) or not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
            return db.execute(statements()["find_any_key"]).fetchone() is not None
    except sqlite3.Error:  # from before there were keys, or no database of ours: the start tells
        return False


def _engine(url: str, durability: Durability) -> Engine:
    if url == "memory://":
        return MemoryEngine()
    path = url.removeprefix(SQLITE)
    if path == url or not path or path.endswith("/"):
        raise StartupError(f"The store {url!r} is not understood. Write {ALLOWED}.")
    return SqliteEngine(Path(path), durability=durability)
