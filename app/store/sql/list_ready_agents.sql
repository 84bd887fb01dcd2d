SELECT name FROM agents
WHERE queued > 0 AND node IS NULL AND current IS NULL AND paused = 0 AND retry_at IS NULL AND name > ?
ORDER BY name LIMIT ?
