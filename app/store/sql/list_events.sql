SELECT seq, type, turn, attempt, time, data FROM events
WHERE agent = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
