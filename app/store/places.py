"""The places of turns in mailboxes that have holes, because some turns were cancelled while they waited."""

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence

from .codec import Row
from .fetching import fetch_all
from .statements import statements

POSITION, PLACE, AGENT = 18, 31, 33
"""Columns of the view of turns."""
UNCOUNTED = -1


def has_uncounted(rows: Sequence[Row]) -> bool:
    return any(row[PLACE] == UNCOUNTED for row in rows)


def counted(db: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
    """The rows with all places, in the transaction in which they were read.

    Each mailbox is walked once, up to the last place that is asked for.
    """
    last: dict[int, int] = {}
    for row in rows:
        if row[PLACE] == UNCOUNTED:
            last[row[AGENT]] = max(last.get(row[AGENT], 0), row[POSITION])
    waiting = {agent: _positions(db, agent, position) for agent, position in last.items()}
    return [_placed(row, waiting[row[AGENT]]) if row[PLACE] == UNCOUNTED else row for row in rows]


def _placed(row: Row, waiting: Sequence[int]) -> Row:
    return (*row[:PLACE], bisect_right(waiting, row[POSITION]), *row[PLACE + 1 :])


def _positions(db: sqlite3.Connection, agent: int, last: int) -> list[int]:
    return [position for (position,) in fetch_all(db, statements()["list_positions"], (agent, last))]
