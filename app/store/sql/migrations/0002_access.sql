-- Keys, stream tickets, and what admins have done. Of keys and tickets only the SHA-256 is stored.

CREATE TABLE keys (
    nr INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    grants TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    crc INTEGER NOT NULL
);

CREATE TABLE tickets (
    nr INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    key TEXT NOT NULL,
    agents TEXT NOT NULL,
    until INTEGER,
    path TEXT,
    crc INTEGER NOT NULL
);

CREATE INDEX tickets_by_key ON tickets (key);
CREATE INDEX tickets_by_end ON tickets (until);

CREATE TABLE audit (
    nr INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details TEXT NOT NULL,
    crc INTEGER NOT NULL
);

-- What is in the log stays in it, whatever defect there may be in what writes to it.
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_never_shrinks BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
