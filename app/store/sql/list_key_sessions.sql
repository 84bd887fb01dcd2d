SELECT digest, key, until, used_at, name, scopes, crc FROM sessions WHERE key = ? ORDER BY nr
