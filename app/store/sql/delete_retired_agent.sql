DELETE FROM agents WHERE id = ? AND name IS NULL
