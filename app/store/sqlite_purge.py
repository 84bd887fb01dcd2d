"""Removes what is left of deleted agents, a bounded number of rows at a time, so that no submit waits for long."""

import sqlite3

from .statements import statements

_SLICED = ("delete_events", "delete_turns", "delete_records")


def purge(db: sqlite3.Connection, deleted_before: int, limit: int) -> int:
    """One slice, in the transaction that is open; the number of rows, 0 when nothing is left.

    A deleted agent's own row stays as long as it holds the name: it knows the last number of the log.
    """
    sql, removed = statements(), 0
    while removed < limit:
        row = db.execute(sql["find_purge"], (deleted_before,)).fetchone()
        if row is None:
            break
        agent: int = row[0]
        for statement in _SLICED:
            removed += db.execute(sql[statement], (agent, limit - removed)).rowcount
        if removed < limit:
            removed += db.execute(sql["delete_memory"], (agent,)).rowcount
            removed += db.execute(sql["delete_retired_agent"], (agent,)).rowcount
            db.execute(sql["delete_purge"], (agent,))
            removed += 1
    return removed
