"""Bringing a database file to the schema of this version: forward only, each step in a transaction of its own."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from .. import failpoints
from ..errors import StartupError
from .inspection import damage
from .statements import migrations

APPLICATION_ID = 0x70796774
"""In the header of every file of ours (https://www.sqlite.org/pragma.html#pragma_application_id): "pygt"."""
MOST_VERSIONS = 9_999
"""Of the schema: the files of its steps have four digits."""


def migrate(db: sqlite3.Connection, shown: str, *, ours: bool = False) -> None:
    """Apply what is missing. Raises ``StartupError`` for a newer schema or somebody else's file; changes nothing then.

    ``shown`` names the file in messages. ``ours``: it is known to be no other application's.
    """
    steps = migrations()
    version, newest = _pragma(db, "user_version"), max(steps)
    _check_owner(db, version, shown, ours=ours)
    if version > newest:
        raise StartupError(
            f"{shown} has schema version {version}, and this version of pygents knows those up to {newest}. "
            "Start the pygents that wrote it, or a newer one, or give --store another file."
        )
    _check_version(db, version, shown, steps)
    for number in range(version + 1, newest + 1):
        _step(db, number, steps[number])
    check_shape(db, shown)


def check_shape(db: sqlite3.Connection, shown: str) -> None:
    """Raises ``StartupError`` if its tables are not those of its version."""
    steps, version = migrations(), _pragma(db, "user_version")
    with closing(_fresh(steps, version)) as fresh:
        expected = _shape(fresh)
    if _shape(db) != expected:
        raise StartupError(
            f"{shown} has schema version {version}, but not as this version of pygents makes it: a version under "
            "development wrote it, or somebody changed it. Move it away, or give --store another file."
        )


def _check_version(db: sqlite3.Connection, version: int, shown: str, steps: Mapping[int, str]) -> None:
    """A flipped bit may make the version a smaller one; the steps that it asks for were made before, and would fail."""
    if version == 0:
        return
    shape = _shape(db)
    for number in range(version + 1, max(steps) + 1):
        with closing(_fresh(steps, number)) as fresh:
            if _shape(fresh) == shape:
                raise damage(Path(shown), f"Its header says version {version}, and it is {number}")


def _fresh(steps: Mapping[int, str], version: int) -> sqlite3.Connection:
    """A database in memory that has been through all steps up to ``version``."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    for number in range(1, version + 1):
        _step(db, number, steps[number])
    return db


def _shape(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    found = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name")
    return found.fetchall()


def _check_owner(db: sqlite3.Connection, version: int, shown: str, *, ours: bool) -> None:
    application = _pragma(db, "application_id")
    empty = version == 0 and application == 0 and not _pragma(db, "schema_version")
    if application == APPLICATION_ID and not 0 < version <= MOST_VERSIONS:  # they were written together
        raise damage(Path(shown), f"Its header says version {version}")
    if application != APPLICATION_ID and not empty and ours:
        raise damage(Path(shown), "Its header does not say that it is a database of this service")
    if application != APPLICATION_ID and not empty:
        raise StartupError(f"{shown} is the database of another application. Give --store another file.")


def _step(db: sqlite3.Connection, number: int, script: str) -> None:
    try:
        db.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};"
        )
        if failpoints.ARMED:
            failpoints.hit("in-migration")
        db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.rollback()
        raise


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value
