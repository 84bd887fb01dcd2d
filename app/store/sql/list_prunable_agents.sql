SELECT name FROM agents
WHERE name > ? AND deleted_at IS NULL AND (earliest > 1 OR latest - earliest + 1 - skipped > ?)
ORDER BY name LIMIT ?
