"""What ``pygents doctor`` makes of what it has measured: pure, so that every judgement is a line in a test."""

import stat
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

LEAST_PYTHON = (3, 11)
LEAST_SQLITE = (3, 40)
WAL_RESET_MENDED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The WAL-reset bug, https://www.sqlite.org/wal.html#walresetbug: two connections that write or checkpoint at the same
moment may damage the file. In 3.7.0 to 3.51.2; mended in 3.51.3, and in 3.44 and 3.50 from these releases on."""

SLOW_SYNC_SECONDS = 0.02
NO_SPACE, LITTLE_SPACE = 64 << 20, 1 << 30
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Before there was this program."""
CLOCK_LEEWAY = timedelta(minutes=1)
OVER_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs"})
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class State(StrEnum):
    """``warning``: it works, but look at it. ``problem``: it does not, or will not for long."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    name: str
    state: State
    text: str


def of_python(version: tuple[int, ...], platform: str) -> Finding:
    text = f"{'.'.join(map(str, version))} on {platform}"
    if version[:2] < LEAST_PYTHON:
        return Finding("Python", State.PROBLEM, f"{text}: 3.11 or later is needed")
    return Finding("Python", State.OK, text)


def of_sqlite(version: tuple[int, int, int]) -> Finding:
    text = ".".join(map(str, version))
    if version[:2] < LEAST_SQLITE:
        return Finding("SQLite", State.PROBLEM, f"{text}: 3.40 or later is needed")
    if has_wal_reset_bug(version):
        return Finding(
            "SQLite", State.WARNING,
            f"{text} has the WAL-reset bug, unless who built it has mended it. The service writes over one connection "
            "only, which the bug needs two of: let no other program write to the database while it is served",
        )  # fmt: skip
    return Finding("SQLite", State.OK, text)


def has_wal_reset_bug(version: tuple[int, int, int]) -> bool:
    """By the number alone: a distribution may have mended an older one."""
    mended = {release[:2]: release for release in WAL_RESET_MENDED}
    return (3, 7, 0) <= version < mended.get(version[:2], WAL_RESET_MENDED[-1])


def of_file_system(kind: str | None) -> Finding:
    """``kind`` as the kernel names it; None if it is not known."""
    if kind in OVER_NETWORK:
        return Finding("file system", State.PROBLEM, f"{kind} goes over a network, where SQLite's locks are not safe")
    if kind in IN_MEMORY:
        return Finding("file system", State.WARNING, f"{kind} is memory: all is gone when the machine is started again")
    return Finding("file system", State.OK, kind or "not known on this system")


def of_sync(median: float, longest: float) -> Finding:
    """Of writes with an fsync, in seconds."""
    text = f"{median * 1000:.2f} ms in the middle, {longest * 1000:.2f} ms at most; every commit waits for one"
    return Finding("sync", State.WARNING if median > SLOW_SYNC_SECONDS else State.OK, text)


def of_space(free: int, database: int) -> Finding:
    """``database``: bytes of the file, which a backup needs once more."""
    text = f"{free / 2**30:.1f} GiB free, the database has {database / 2**30:.1f} GiB"
    if free < NO_SPACE:
        return Finding("space", State.PROBLEM, f"{text}: submits will be refused with 507")
    if free < max(LITTLE_SPACE, database):
        return Finding("space", State.WARNING, f"{text}: that is little, and a backup needs as much as the database")
    return Finding("space", State.OK, text)


def of_clock(now: datetime, written: datetime | None) -> Finding:
    """``written``: when the database was last written to, by its file."""
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < EARLIEST:
        return Finding("clock", State.PROBLEM, f"{text}: this program is younger; set the clock")
    if written is not None and written > now + CLOCK_LEEWAY:
        return Finding(
            "clock", State.PROBLEM,
            f"{text}, but the database was written at {written:%Y-%m-%d %H:%M:%S}: it is wrong now, or was wrong then",
        )  # fmt: skip
    return Finding("clock", State.OK, text)


def of_secret_file(name: str, mode: int) -> Finding | None:
    """None if only its owner can read it, or its group, too, as secrets are mounted. ``mode`` as of ``stat``."""
    if mode & 0o077 and mode & 0o777 != 0o440:
        text = f"{name} can be read by others ({mode & 0o777:o}): chmod 600"
        return Finding("files", State.WARNING, text)
    return None


def of_folder(name: str, mode: int) -> Finding | None:
    """Where the database lies. None if only its owner can write there, or delete only what is theirs (sticky)."""
    if mode & stat.S_ISVTX or not mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    if mode & stat.S_IWOTH:
        text = f"everybody can write to {name} ({mode & 0o777:o}), and put another database there: chmod o-w"
        return Finding("files", State.WARNING, text)
    return Finding("files", State.WARNING, f"the group can write to {name} ({mode & 0o777:o}): chmod g-w")


def of_descriptors(most: int) -> Finding:
    text = f"{most:,} may be open; each stream takes one"
    return Finding("descriptors", State.WARNING if most < 256 else State.OK, text)
