INSERT INTO memories (agent, data) VALUES (?, ?) ON CONFLICT (agent) DO UPDATE SET data = excluded.data
