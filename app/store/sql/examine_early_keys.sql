-- Of a file from before keys had limits.
SELECT id, name, digest, grants, created_at, expires_at, revoked_at, crc FROM keys ORDER BY nr
