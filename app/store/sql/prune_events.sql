DELETE FROM events WHERE agent = ? AND seq < ?
