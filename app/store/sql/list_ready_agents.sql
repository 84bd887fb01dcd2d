SELECT name FROM agents
WHERE queued > 0 AND node IS NULL AND current IS NULL AND paused = 0 AND name > ?
ORDER BY name LIMIT ?
