"""Reading rows, also those that are damaged."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

Arguments = Sequence[object] | Mapping[str, object]


def fetch_all(db: sqlite3.Connection, sql: str, arguments: Arguments) -> list[tuple[Any, ...]]:
    """All rows. Text that is not UTF-8 any more comes with question marks: its checksum tells that it is damaged."""
    try:
        return db.execute(sql, arguments).fetchall()
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    db.text_factory = _lenient
    try:
        return db.execute(sql, arguments).fetchall()
    finally:
        db.text_factory = str


def fetch_one(db: sqlite3.Connection, sql: str, arguments: Arguments) -> tuple[Any, ...] | None:
    rows = fetch_all(db, sql, arguments)
    return rows[0] if rows else None


def _lenient(text: bytes) -> str:
    return text.decode(errors="replace")
