SELECT seq, time FROM events WHERE agent = ? AND seq >= ? ORDER BY seq LIMIT ?
