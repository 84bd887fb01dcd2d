"""Checksums of what is stored: SQLite has none of its own, and would serve a flipped bit as if it had been written.

CRC-32 (``zlib.crc32``) finds every change of up to 32 neighbouring bits, and any other but for one in four thousand
million. It is no protection against somebody who means to alter a file. It is taken of the columns as MessagePack
(https://github.com/msgpack/msgpack/blob/master/spec.md), which keeps their types and where each ends, and is quick to
make.
"""

from collections.abc import Sequence
from zlib import crc32

from msgspec import msgpack

Row = Sequence[object]

_pack = msgpack.Encoder().encode


def of_parts(*parts: object) -> int:
    """Of all parts of a row, whose types are those that SQLite has."""
    return crc32(_pack(parts))


def of_spec(agent: str, row: Row, asker: Row | None) -> int:
    """Of what of a turn never changes. ``row`` begins with the columns from ``id`` to ``first_seq``.

    Without an ``asker`` it is what it was before turns had one.
    """
    if asker is None:
        return crc32(_pack((agent, row[0], row[2:14], row[15:17])))
    return crc32(_pack((agent, row[0], row[2:14], row[15:17], asker)))


def of_end(turn_id: str, status: str, row: Row) -> int:
    """Of how a turn ended. ``row`` are the columns from ``last_seq`` to ``crashes``."""
    return crc32(_pack((turn_id, status, row)))
