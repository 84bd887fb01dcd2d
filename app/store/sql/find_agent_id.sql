SELECT id FROM agents WHERE name = ?
