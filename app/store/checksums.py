"""Checksums of what is stored: SQLite has none of its own, and would serve a flipped bit as if it had been written.

CRC-32 (``zlib.crc32``) finds every change of up to 32 neighbouring bits, and any other but for one in four thousand
million. It is no protection against somebody who means to alter a file.
"""

from collections.abc import Sequence
from zlib import crc32

Row = Sequence[object]


def of_event(  # noqa: PLR0917 (a row)
    agent: int, seq: int, type_: str, turn: str | None, attempt: int | None, time: int, data: bytes
) -> int:
    """Of all of an event's row but its place in the file."""
    return crc32(data, crc32(f"{agent} {seq} {type_} {turn} {attempt} {time} ".encode()))


def of_spec(agent: str, row: Row) -> int:
    """Of what of a turn never changes. ``row`` begins with the columns from ``id`` to ``first_seq``."""
    id_, _, tool, args, kwargs, metadata, timeout, *rest = row[:14]
    head = f"{agent} {id_} {tool} {timeout} {rest} {row[15]} {row[16]} "
    return _chained(head, args, kwargs, metadata)


def of_end(turn_id: str, status: str, row: Row) -> int:
    """Of how a turn ended. ``row`` are the columns from ``last_seq`` to ``crashes``."""
    return _chained(f"{turn_id} {status} {row[:6]} {row[8:14]} ", row[6], row[7])


def of_parts(*parts: object) -> int:
    """Of a small row that is rarely written."""
    return crc32(repr(parts).encode(errors="replace"))


def _chained(head: str, *pieces: object) -> int:
    parts = [head.encode(errors="replace")]
    for piece in pieces:
        if isinstance(piece, bytes):
            parts += (b"%d " % len(piece), piece)
        else:  # no value, or damage: a column that holds another type than it was given
            parts.append(repr(piece).encode(errors="replace"))
    return crc32(b"".join(parts))
