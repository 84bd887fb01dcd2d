-- The columns crc are checksums of what of the row is never or rarely written, end_crc that of how a turn ended,
-- head_crc that of what changes with an agent's turns (store/checksums.py).
--
-- Append tables go by rowid with an index beside: keyed by (agent, seq) without rowid they would dirty one page for
-- each agent and commit. AUTOINCREMENT, because an id that was given out is never given out again.

CREATE TABLE agents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL once a deleted agent's name belongs to another agent; it is then the former name.
    name TEXT UNIQUE,
    former_name TEXT,
    definition TEXT NOT NULL,
    crc INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    node TEXT,
    epoch INTEGER NOT NULL,
    current TEXT,
    queued INTEGER NOT NULL,
    scheduled INTEGER NOT NULL,
    joined INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    earliest INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    retry_at INTEGER,
    last_error BLOB,
    deleted_at INTEGER,
    skipped INTEGER NOT NULL,
    head_crc INTEGER NOT NULL
);

CREATE INDEX agents_former ON agents (former_name) WHERE former_name IS NOT NULL;

-- Small, and rarely touched: an agent that is busy, idle with an empty mailbox, or between two attempts is not in it.
CREATE INDEX agents_ready ON agents (name)
    WHERE queued > 0 AND node IS NULL AND current IS NULL AND paused = 0 AND retry_at IS NULL;
CREATE INDEX agents_retrying ON agents (retry_at) WHERE retry_at IS NOT NULL;

CREATE TABLE turns (
    nr INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    agent INTEGER NOT NULL,
    tool TEXT NOT NULL,
    args BLOB NOT NULL,
    kwargs BLOB NOT NULL,
    metadata BLOB NOT NULL,
    timeout REAL NOT NULL,
    not_before INTEGER,
    parent_agent TEXT,
    parent_id TEXT,
    root TEXT,
    hops INTEGER NOT NULL,
    retry TEXT,
    retry_of TEXT,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    position INTEGER,
    attempt INTEGER NOT NULL,
    start_time INTEGER,
    end_time INTEGER,
    value_count INTEGER NOT NULL DEFAULT 0,
    output BLOB,
    error BLOB,
    cancel_by TEXT,
    cancel_reason TEXT,
    started_seq INTEGER NOT NULL,
    retry_at INTEGER,
    spared INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    crc INTEGER NOT NULL,
    end_crc INTEGER
);

-- An agent's turns by acceptance, and those whose events have begun to go.
CREATE INDEX turns_by_agent ON turns (agent, first_seq);
-- The mailboxes: what waits, however much came before, and of that what was delayed, which joined out of its turn.
CREATE INDEX turns_waiting ON turns (agent, position) WHERE status = 'queued';
CREATE INDEX turns_late ON turns (agent) WHERE status = 'queued' AND not_before IS NOT NULL;
CREATE INDEX turns_by_parent ON turns (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX turns_by_due ON turns (not_before) WHERE status = 'scheduled';
CREATE INDEX turns_scheduled ON turns (agent, not_before) WHERE status = 'scheduled';

CREATE TABLE events (
    nr INTEGER PRIMARY KEY AUTOINCREMENT,
    agent INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    turn TEXT,
    attempt INTEGER,
    time INTEGER NOT NULL,
    data BLOB NOT NULL,
    crc INTEGER NOT NULL
);

CREATE UNIQUE INDEX events_by_seq ON events (agent, seq);

CREATE TABLE records (
    nr INTEGER PRIMARY KEY AUTOINCREMENT,
    agent INTEGER NOT NULL,
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    turn_ids TEXT NOT NULL,
    first_turn TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    UNIQUE (agent, caller, key)
);

-- A record goes with its first turn. Ids of turns ascend, so all inserts are at the end of the index.
CREATE INDEX records_by_turn ON records (first_turn);

CREATE TABLE memories (
    agent INTEGER PRIMARY KEY,
    data BLOB NOT NULL,
    crc INTEGER NOT NULL
);

-- Deleted agents of whose turns and events rows are left.
CREATE TABLE purges (
    agent INTEGER PRIMARY KEY,
    deleted_at INTEGER NOT NULL
);

CREATE INDEX purges_by_time ON purges (deleted_at);

-- One row, written by checks of the store: whether a commit goes through now.
CREATE TABLE checks (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    checked_at INTEGER NOT NULL
);

INSERT INTO checks (id, checked_at) VALUES (1, 0);

-- The place in the mailbox: 1 is next. Positions are dense but for turns that were cancelled while they waited. Where the
-- agent has such a hole the place is -1: it is to be counted, for all rows at once (store/places.py).
CREATE VIEW turn_rows AS
SELECT
    t.id, a.name AS agent, t.tool, t.args, t.kwargs, t.metadata, t.timeout, t.not_before, t.parent_agent, t.parent_id,
    t.root, t.hops, t.retry, t.retry_of, t.status, t.created_at, t.first_seq, t.last_seq, t.position, t.attempt, t.start_time, t.end_time,
    t.value_count, t.output, t.error, t.cancel_by, t.cancel_reason, t.started_seq, t.retry_at, t.spared, t.crashes,
    CASE
        WHEN t.status <> 'queued' THEN NULL
        WHEN a.joined - a.begun = a.queued THEN t.position - a.begun
        ELSE -1
    END AS place,
    t.nr, t.agent AS agent_id, t.crc, t.end_crc
FROM turns AS t JOIN agents AS a ON a.id = t.agent
WHERE a.deleted_at IS NULL;

-- The oldest that waits is the first in the mailbox, or the first of those that joined late.
CREATE VIEW agent_rows AS
SELECT
    a.definition, a.created_at, a.updated_at, a.paused, a.node, a.epoch, a.current, a.queued, a.scheduled, a.joined,
    a.begun, a.earliest, a.latest, a.retry_at, a.last_error, a.deleted_at, a.skipped,
    CASE WHEN a.queued > 0 THEN (
        SELECT min(created_at) FROM (
            SELECT * FROM (
                SELECT q.created_at FROM turns AS q
                WHERE q.agent = a.id AND q.status = 'queued' AND q.not_before IS NULL ORDER BY q.position LIMIT 1
            )
            UNION ALL
            SELECT * FROM (
                SELECT l.created_at FROM turns AS l
                WHERE l.agent = a.id AND l.status = 'queued' AND l.not_before IS NOT NULL ORDER BY l.nr LIMIT 1
            )
        )
    ) END AS oldest_queued_at,
    a.id, a.name, a.crc, a.head_crc
FROM agents AS a
WHERE a.deleted_at IS NULL;
