SELECT * FROM turn_rows
WHERE agent_id = :agent
    AND nr > CASE WHEN :after IS NULL THEN 0 ELSE (SELECT c.nr FROM turns AS c WHERE c.id = :after) END
    AND (:status IS NULL OR status = :status)
ORDER BY nr LIMIT :limit
