SELECT agent, seq, type, turn, attempt, time, data, crc FROM events
WHERE agent = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
