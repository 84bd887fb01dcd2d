INSERT INTO keys (id, name, digest, grants, created_at, expires_at, revoked_at, rate, burst, streams, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
