SELECT agent, seq, type, turn, attempt, time, data, crc FROM events
WHERE agent = (SELECT id FROM agents WHERE name = ?) AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
