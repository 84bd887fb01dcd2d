INSERT INTO records (agent, caller, key, digest, turn_ids, created_at) VALUES (?, ?, ?, ?, ?, ?)
