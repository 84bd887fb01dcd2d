SELECT digest, key, until, used_at, name, scopes, crc FROM sessions ORDER BY nr
