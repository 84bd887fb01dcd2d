SELECT data FROM memories WHERE agent = (SELECT id FROM agents WHERE name = ?)
