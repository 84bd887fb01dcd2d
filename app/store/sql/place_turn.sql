UPDATE turns SET position = ? WHERE id = ?
