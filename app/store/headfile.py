"""How much was ever committed, in a second place: ``<database>.head``.

A database that has lost its end looks well, only shorter: a deleted -wal file, a copy from yesterday put in its place.
So the number is kept beside it, written after each commit, without a sync of its own: after the end of the process,
however it ended, it is exact; after a power cut it may be older than the database, but never newer, because the commit
was synced first. Where commits are not synced (``relaxed``) the database may rightly be older after a power cut; then
the number counts only as long as the machine has not been started again. That they are not is on the disk before the
first of them.
"""

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from .owning import open_own
from .syncing import sync

_FORMAT = struct.Struct("<8sBQ36s")
_MAGIC = b"pygthead"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Mark(NamedTuple):
    """``events`` were committed. ``exact``: the database has them, whatever happened."""

    events: int
    exact: bool


def path_of(database: Path) -> Path:
    return database.with_name(database.name + ".head")


def read_mark(database: Path) -> Mark | None:
    """None if there is none, or none that can be read: it is a second witness, not a condition."""
    try:
        content = path_of(database).read_bytes()
    except OSError:
        return None
    if len(content) != _FORMAT.size + 4 or crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
        return None
    magic, synced, events, boot = _FORMAT.unpack(content[:-4])
    if magic != _MAGIC:
        return None
    return Mark(events, bool(synced) or (boot == _boot_id() and boot.strip(b"\0") != b""))


def remove_mark(database: Path) -> None:
    path_of(database).unlink(missing_ok=True)


class HeadFile:
    """Keeps the mark of an open database. ``synced``: commits are on the disk before they are noted."""

    def __init__(self, database: Path, *, synced: bool, events: int) -> None:
        """``events``: those that are there. Raises ``OSError``."""
        self._descriptor = open_own(path_of(database))
        self._synced, self._boot = synced, _boot_id()
        if not synced:
            try:
                self._write(events)
                os.fsync(self._descriptor)
                sync(database.parent)  # the file may be new: without its name what is in it is lost
            except BaseException:
                self.close()
                raise

    def note(self, events: int) -> None:
        """Does nothing on a full disk: the mark is then older, which is no harm."""
        with suppress(OSError):
            self._write(events)

    def _write(self, events: int) -> None:
        content = _FORMAT.pack(_MAGIC, self._synced, events, self._boot)
        os.pwrite(self._descriptor, content + crc32(content).to_bytes(4, "little"), 0)

    def close(self) -> None:
        os.close(self._descriptor)


def _boot_id() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()[:36]
    except OSError:
        return b""
