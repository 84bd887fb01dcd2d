INSERT INTO sessions (digest, key, until, used_at, name, scopes, crc) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET used_at = excluded.used_at, crc = excluded.crc
