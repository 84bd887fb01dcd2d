SELECT * FROM turn_rows WHERE agent_id = ? AND position > ? AND status = 'queued' ORDER BY position LIMIT 1
