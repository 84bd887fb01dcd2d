SELECT * FROM agent_rows WHERE name = ?
