INSERT INTO memories (agent, data, crc) VALUES (?, ?, ?) ON CONFLICT (agent) DO UPDATE SET data = excluded.data, crc = excluded.crc
