SELECT * FROM turn_rows WHERE id = ?
