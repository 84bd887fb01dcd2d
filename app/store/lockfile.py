"""One server to a database file: a lock file beside it, held for the life of the store."""

import fcntl
import os
import struct
import sys
import threading
from pathlib import Path

from ..errors import StartupError
from .owning import open_own

_held: set[tuple[int, int]] = set()
_held_gate = threading.Lock()
# A POSIX record lock neither refuses a second lock of the same process nor survives its closing; so the files that this
# process has locked are known by device and inode.


class LockFile:
    """Holds ``<database>.lock`` by ``fcntl.lockf``; the kernel frees it however the process ends."""

    def __init__(self, database: Path) -> None:
        """Raises ``StartupError`` if another server holds it, ``OSError`` if the file cannot be made."""
        path = database.with_name(database.name + ".lock")
        with _held_gate:
            if path.exists() and _key(os.stat(path)) in _held:  # found out without opening: closing would free it
                raise _refusal(database, str(os.getpid()))
            self._descriptor = open_own(path)
            try:
                self._key = self._take(database)
            except BaseException:
                os.close(self._descriptor)
                raise

    def _take(self, database: Path) -> tuple[int, int]:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            raise _refusal(database, holder or "unknown") from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, b"%d\n" % os.getpid())
        key = _key(os.fstat(self._descriptor))
        _held.add(key)
        return key

    def release(self) -> None:
        with _held_gate:
            _held.discard(self._key)
            os.close(self._descriptor)


def holder(database: Path) -> int | None:
    """The process that holds the lock, found out without taking it: a server that starts meanwhile is not disturbed.

    None if there is none, or on a system of which it cannot be found out. Raises ``OSError`` if nobody may look.
    """
    path = database.with_name(database.name + ".lock")
    form = _FLOCK.get(sys.platform)
    if form is None or not path.exists():
        return None
    if _key(os.stat(path)) in _held:  # ours: opening and closing it would free it
        return os.getpid()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        names, layout = form
        asked = {"type": fcntl.F_RDLCK, "whence": os.SEEK_SET, "start": 0, "length": 0, "pid": 0}
        told = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *(asked[name] for name in names)))
        found = dict(zip(names, struct.unpack(layout, told), strict=True))
        return int(found["pid"]) if found["type"] != fcntl.F_UNLCK else None
    finally:
        os.close(descriptor)


_FLOCK = {
    "linux": (("type", "whence", "start", "length", "pid"), "hhqqi4x"),
    "darwin": (("start", "length", "pid", "type", "whence"), "qqihh"),
}
"""``struct flock`` of fcntl(2): the order of its members, and how they lie in memory."""


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _refusal(database: Path, pid: str) -> StartupError:
    return StartupError(
        f"Another server (pid {pid}) uses {database}; stop it, or give --store another file.", passes=True
    )
