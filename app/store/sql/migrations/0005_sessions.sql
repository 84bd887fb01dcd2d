-- Browsers that are signed in. Of the token in their cookie only the SHA-256 is stored.

CREATE TABLE sessions (
    nr INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    key TEXT NOT NULL,
    until INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    crc INTEGER NOT NULL
);

CREATE INDEX sessions_by_key ON sessions (key);
CREATE INDEX sessions_by_end ON sessions (until);
CREATE INDEX sessions_by_use ON sessions (used_at);
