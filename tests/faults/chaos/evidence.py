"""What is left when a campaign is over: the database, read by itself, and the trace that the tools wrote."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.faults.chaos.ledger import Json, Ledger

TURNS = """
    SELECT t.id, a.name AS agent, t.tool, t.metadata, t.status, t.attempt, t.first_seq, t.last_seq, t.retry,
        t.value_count, t.cancel_by, t.position, t.error
    FROM turns AS t LEFT JOIN agents AS a ON a.id = t.agent WHERE a.deleted_at IS NULL ORDER BY t.nr
"""
EVENTS = """
    SELECT a.name AS agent, e.seq, e.type, e.turn AS turn_id, e.attempt, e.data
    FROM events AS e JOIN agents AS a ON a.id = e.agent WHERE a.deleted_at IS NULL ORDER BY e.agent, e.seq
"""
AGENTS = "SELECT * FROM agents WHERE deleted_at IS NULL"
MEMORIES = "SELECT a.name, m.data FROM memories AS m JOIN agents AS a ON a.id = m.agent WHERE a.deleted_at IS NULL"
ORPHANS = """
    SELECT count(*) FROM (SELECT agent FROM turns UNION SELECT agent FROM events UNION SELECT agent FROM records) AS r
    WHERE r.agent NOT IN (SELECT id FROM agents)
"""
RESTLESS = """
    SELECT name, node, current, queued, scheduled, retry_at, paused FROM agents
    WHERE current IS NOT NULL OR node IS NOT NULL
        OR (deleted_at IS NULL AND (queued > 0 OR scheduled > 0 OR retry_at IS NOT NULL))
"""


class Trace(NamedTuple):
    """A line that a tool wrote. ``what``: start, value, sent or stop; ``number``: of the value or the message.

    ``to``: the agent that a message went to.
    """

    what: str
    agent: str
    turn_id: str
    attempt: int
    pid: int
    number: int = 0
    to: str = ""


@dataclass(slots=True)
class Evidence:
    """Everything that the rules judge. ``stable`` names the agents that were there all the time."""

    stable: Sequence[str]
    ledger: Ledger
    agents: dict[str, Json]
    turns: dict[str, Json]
    events: dict[str, list[Json]]
    trace: list[Trace] = field(default_factory=list)
    memories: dict[str, list[str]] = field(default_factory=dict)
    orphans: int = 0
    damage: str = "ok"
    restless: list[Json] = field(default_factory=list)


def gather(database: Path, trace: Path, ledger: Ledger, stable: Sequence[str]) -> Evidence:
    """Read the file, which a server may still have open."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        events = defaultdict(list)
        for row in db.execute(EVENTS):
            events[row["agent"]].append({**dict(row), "data": json.loads(row["data"])})
        return Evidence(
            stable=stable,
            ledger=ledger,
            agents={row["name"]: dict(row) for row in db.execute(AGENTS)},
            turns={row["id"]: {**dict(row), "metadata": json.loads(row["metadata"])} for row in db.execute(TURNS)},
            events=dict(events),
            trace=read_trace(trace),
            memories={name: json.loads(data) for name, data in db.execute(MEMORIES)},
            orphans=db.execute(ORPHANS).fetchone()[0],
            damage=db.execute("PRAGMA integrity_check").fetchone()[0],
            restless=[dict(row) for row in db.execute(RESTLESS)],
        )


def restless(database: Path) -> list[Json]:
    """Agents that run something, have an owner, or have turns that wait."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(RESTLESS)]


def read_trace(path: Path) -> list[Trace]:
    if not path.exists():
        return []
    lines = (line.split() for line in path.read_text().splitlines())
    return [_trace(line) for line in lines]


def _trace(words: Sequence[str]) -> Trace:
    what, agent, turn_id, attempt, pid, *rest = words
    number, to = [*rest, "0", ""][:2] if len(rest) != 1 else (rest[0], "")
    return Trace(what, agent, turn_id, int(attempt), int(pid), int(number), to)
