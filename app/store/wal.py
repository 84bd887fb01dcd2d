"""Reading a write-ahead log as SQLite's recovery does, to find what recovery would pass over in silence.

Recovery takes the log's frames up to the first whose checksum fails and forgets the rest, whatever that holds: one
flipped bit in the middle and all later commits are gone, with a database that looks well. (The format, its checksums
and salts: https://www.sqlite.org/fileformat2.html#the_write_ahead_log.)

Where every commit is synced, a rest is normal in one case only: the machine stopped while the last transaction was
being written, and of its frames some reached the disk. The next transaction is written only after a sync of the one
before, so what lies beyond the first bad frame is then of one transaction: nothing follows a commit frame. Something
does: committed work is damaged. (Where commits are not synced, a power cut may leave any holes.)
"""

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">2I8s2I")
_MAGIC = 0x377F0682
MASK = 0xFFFFFFFF

PAGE_BYTES = 2_048
"""Of our databases: half of SQLite's own. Its indexes take a page for each agent of a commit, however little is new in
it, so that a commit of many agents writes about a third less with pages of this size."""


class Log(NamedTuple):
    """What recovery would find. ``pages`` are in committed frames; ``size`` is the database's, in pages, 0: no commit.

    ``lost``: committed frames lie beyond the first bad one.
    """

    frames: int = 0
    pages: frozenset[int] = frozenset()
    size: int = 0
    lost: bool = False


def read_log(path: Path, page_bytes: int = PAGE_BYTES) -> Log:
    """The log of this file name; one that is not there, or not a log, is empty.

    ``page_bytes``: of the database, for a log whose header cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return Log()
    with file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return Log()
        magic, _, page_size, _, _, _, *sums = _HEADER.unpack(header)
        order = ">" if magic & 1 else "<"
        if magic & ~1 != _MAGIC or _checksum(order, header[:24], 0, 0) != tuple(sums):
            return Log(lost=_commits_follow(file, page_bytes, None))
        return _read_frames(file, order, page_size, header[16:24], (sums[0], sums[1]))


def _read_frames(file: BinaryIO, order: str, page_size: int, salts: bytes, sums: tuple[int, int]) -> Log:
    committed: set[int] = set()
    pending: set[int] = set()
    frames = size = count = 0
    while True:
        start = file.tell()
        frame = file.read(_FRAME.size + page_size)
        if len(frame) < _FRAME.size + page_size:
            return Log(frames, frozenset(committed), size)
        page, commit, frame_salts, *stored = _FRAME.unpack_from(frame)
        sums = _checksum(order, frame[_FRAME.size :], *_checksum(order, frame[:8], *sums))
        if frame_salts != salts or sums != tuple(stored):
            file.seek(start)
            return Log(frames, frozenset(committed), size, _commits_follow(file, page_size, salts))
        count += 1
        pending.add(page)
        if commit:
            committed |= pending
            pending.clear()
            frames, size = count, commit


def _commits_follow(file: BinaryIO, page_size: int, salts: bytes | None) -> bool:
    """Whether from here on a commit frame of the same log is followed by another frame of it.

    Frames with other salts are older ones, which the log is being written over, or damaged. Without ``salts``, the
    header being bad, those of the first frame will do.
    """
    commit: tuple[int, int, bytes] | None = None
    while len(frame := file.read(_FRAME.size)) == _FRAME.size:
        page, size, frame_salts, *_ = _FRAME.unpack(frame)
        salts = salts or frame_salts
        content = file.read(page_size)
        if frame_salts == salts:
            if commit is not None and (page, size, content) != commit:  # the same again fills up its sector
                return True
            commit = (page, size, content) if size else commit
    return False


def _checksum(order: str, data: bytes, first: int, second: int) -> tuple[int, int]:
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for left, right in zip(words, words, strict=True):
        first = (first + left + second) & MASK
        second = (second + right + first) & MASK
    return first, second
