DELETE FROM turns WHERE id = ?
