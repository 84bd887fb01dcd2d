INSERT INTO tickets (digest, key, agents, until, path, crc) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET until = excluded.until, path = excluded.path, crc = excluded.crc
