"""A look at the files of a database before SQLite opens it, because opening it may overwrite the evidence.

Quick, whatever the size of the database: its header, its length, its write-ahead log. Damage in the middle is found
when it is read (``checksums``), or by ``examination``, which reads everything.
"""

from pathlib import Path
from typing import NamedTuple

from ..errors import StartupError
from .headfile import Mark, read_mark
from .wal import PAGE_BYTES, read_log

HEADER_BYTES = 100
LOCK_BYTE = 1 << 30
"""The page with this byte is for locks: SQLite never writes it, so it is never in the log (fileformat2, 1.4)."""
RESTORING = ".restoring"
"""A backup that is being made ready to take the place of the database."""
MAGIC = b"SQLite format 3\0"


class Found(NamedTuple):
    """``mark``: of the head file. ``holes``: a power cut has left some in the log, and later commits are given up."""

    mark: Mark | None = None
    holes: bool = False


def inspect(path: Path) -> Found:
    """Raises ``StartupError`` if something of what was committed, and not given up, is not there any more."""
    size = path.stat().st_size if path.exists() else 0
    if not size and part_of(path, RESTORING).exists():
        raise StartupError(
            f"A restore of {path} was cut off. Do it again: `pygents restore BACKUP --store {path} --force`; "
            f"or remove {part_of(path, RESTORING)} to begin with nothing."
        )
    mark = read_mark(path)
    journal = part_of(path, "-journal")
    if journal.exists() and journal.stat().st_size:  # its first start was cut off; SQLite undoes that
        return Found(mark)
    header = _head_of(path) if size else b""
    log = read_log(part_of(path, "-wal"), _told_page_size(header) or PAGE_BYTES)
    if log.lost and (mark is None or mark.exact):
        raise damage(path, "Its -wal file is damaged: later commits lie beyond a part that cannot be read")
    if not size:
        if log.frames or (mark is not None and mark.events):
            raise damage(path, "It is empty, but was not")
        return Found(mark)
    if not header.startswith(MAGIC) and mark is None:
        return Found()  # somebody else's file, as SQLite will say
    page_size = _page_size(path, header)
    pages = log.size or int.from_bytes(header[28:32], "big")
    if _is_short(size // page_size, pages, log.pages, LOCK_BYTE // page_size + 1):
        raise damage(path, "Its end is missing")
    return Found(mark, log.lost)


def _is_short(stored: int, pages: int, logged: frozenset[int], never_written: int) -> bool:
    """Whether of ``pages`` any is neither among the first ``stored`` nor in the log.

    The log tells how many there can be: it is not counted up to what a damaged header may say.
    """
    beyond = pages - stored - (stored < never_written <= pages)
    return beyond > len(logged) or bool(set(range(stored + 1, pages + 1)) - logged - {never_written})


def compare(path: Path, mark: Mark | None, events: int) -> None:
    """``events`` were ever committed, as the database itself says. Raises ``StartupError`` if that is too few."""
    if mark is not None and mark.exact and events < mark.events:
        raise damage(path, f"It has lost its end: about {mark.events - events} of the last events are missing")


def part_of(path: Path, part: str) -> Path:
    """Another file of the database ``path``."""
    return path.with_name(path.name + part)


def damage(path: Path, what: str) -> StartupError:
    return StartupError(
        f"{path} is damaged. {what}. Restore a backup with `pygents restore BACKUP --store {path} --force`; "
        f"or look with `pygents doctor --full {path}`, and go on with what is left by `pygents restored {path}`."
    )


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEADER_BYTES)


def _told_page_size(header: bytes) -> int | None:
    """None if it tells of none that there can be."""
    size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if size == 1 else size
    return page_size if page_size in {512 << shift for shift in range(8)} else None


def _page_size(path: Path, header: bytes) -> int:
    """Checks what of the header never changes in a file of ours (https://www.sqlite.org/fileformat2.html, 1.3)."""
    page_size = _told_page_size(header)
    fixed = header[:16] == MAGIC and header[20:24] == b"\0\x40\x20\x20" and header[72:92] == bytes(20)
    versions = header[18:20] in (b"\1\1", b"\2\2") and header[44:48] == b"\0\0\0\4"
    text = header[52:60] == b"\0\0\0\0\0\0\0\1" and header[64:68] == bytes(4)
    free = int.from_bytes(header[36:40], "big") <= int.from_bytes(header[28:32], "big")
    if page_size is None or not (fixed and versions and text and free):
        raise damage(path, "Its header is not that of a database of this service")
    return page_size
