SELECT * FROM turn_rows
WHERE agent_id = :agent
    AND first_seq > CASE WHEN :after IS NULL THEN 0 ELSE (SELECT c.first_seq FROM turns AS c WHERE c.id = :after) END
    AND (:status IS NULL OR status = :status)
ORDER BY first_seq LIMIT :limit
