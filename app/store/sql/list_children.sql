SELECT a.name, t.id FROM turns AS t JOIN agents AS a ON a.id = t.agent
WHERE t.parent_id = ? AND a.deleted_at IS NULL ORDER BY t.nr
