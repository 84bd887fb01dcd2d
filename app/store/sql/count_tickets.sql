SELECT count(*) FROM tickets WHERE key = ?
