"""Power cuts: what was written and not synced is lost, wholly, from some point on, or sector by sector.

``power.c`` stands between the server and its files and writes down what is not synced yet; ``cut`` undoes it, once the
process was killed. A sector is written or not (SQLite's own tests assume no less); their order is the disk's own. Not
imitated: files whose names are lost with their folder, and disks that lie about an fsync.
"""

import os
import random
import shutil
import struct
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("power.c")
COMPILER = shutil.which("gcc") or shutil.which("cc")
HEAD = struct.Struct("=5Q")
SECTOR = 512
BOOT_ID, CHECKSUM = 36, 4
"""Bytes at the end of a .head file."""


class Write(NamedTuple):
    """One write or truncation that was not synced. ``old``: what stood there; ``size``: of the file before it."""

    truncates: bool
    offset: int
    size: int
    old: bytes
    new: bytes


def compiled(folder: Path) -> Path:
    """The library for LD_PRELOAD."""
    library = folder / "power.so"
    if not library.exists():
        assert COMPILER is not None
        command = [COMPILER, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    return library


def cut(folder: Path, dice: random.Random) -> int:
    """The power was off, and the process is gone; how many bytes were lost."""
    lost = 0
    for log in sorted(folder.glob("*.unsynced")):
        file = log.with_suffix("")
        writes = unsynced(log.read_bytes())
        if file.exists() and writes:
            lost += _lose(file, writes, dice)
        log.unlink()
    for shared in folder.glob("*.db-shm"):
        shared.unlink()
    for mark in folder.glob("*.db.head"):
        _forget_boot(mark)
    return lost


def unsynced(log: bytes) -> list[Write]:
    """The records of a log. Its last one may be cut off: that write was not done."""
    found, place = [], 0
    while place + HEAD.size <= len(log):
        kind, offset, length, old, size = HEAD.unpack_from(log, place)
        place += HEAD.size
        if place + old + length > len(log):
            break
        found.append(
            Write(kind == ord("T"), offset, size, log[place : place + old], log[place + old : place + old + length])
        )
        place += old + length
    return found


def _forget_boot(mark: Path) -> None:
    """The machine was started again: a mark that holds only for one start of it does not hold any more."""
    content = mark.read_bytes()[: -BOOT_ID - CHECKSUM] + bytes(BOOT_ID)
    mark.write_bytes(content + zlib.crc32(content).to_bytes(CHECKSUM, "little"))


def _lose(file: Path, writes: Sequence[Write], dice: random.Random) -> int:
    descriptor = os.open(file, os.O_RDWR)
    try:
        for write in reversed(writes):
            _undo(descriptor, write)
        return sum(len(write.new) for write in writes) - _redo(descriptor, writes, dice)
    finally:
        os.close(descriptor)


def _undo(descriptor: int, write: Write) -> None:
    if write.truncates:
        os.ftruncate(descriptor, write.size)
    os.pwrite(descriptor, write.old, write.offset)
    if not write.truncates:
        os.ftruncate(descriptor, write.size)


def _redo(descriptor: int, writes: Sequence[Write], dice: random.Random) -> int:
    """Write what reached the disk all the same; how many bytes."""
    how, until, kept = dice.choice(("nothing", "prefix", "sectors")), dice.randrange(len(writes) + 1), 0
    if how == "nothing":
        return 0
    for number, write in enumerate(writes):
        chance = 0.5 if how == "sectors" or number == until else float(number < until)  # the write at `until` is torn
        if write.truncates:
            if dice.random() < chance:
                os.ftruncate(descriptor, write.offset)
            continue
        for start in range(0, len(write.new), SECTOR):
            if dice.random() < chance:
                kept += os.pwrite(descriptor, write.new[start : start + SECTOR], write.offset + start)
    return kept
