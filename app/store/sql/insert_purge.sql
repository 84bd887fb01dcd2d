INSERT INTO purges (agent, deleted_at) VALUES (?, ?)
