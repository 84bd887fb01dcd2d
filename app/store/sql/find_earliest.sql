SELECT earliest FROM agents WHERE name = ? AND deleted_at IS NULL
