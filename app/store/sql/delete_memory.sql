DELETE FROM memories WHERE agent = ?
