-- The agents that have or had the name and events beyond the cursor, the oldest first: their numbers ascend.
-- Of a deleted one nobody knows where the rest begins: it is removed in slices.
SELECT id, CASE WHEN deleted_at IS NULL THEN earliest ELSE latest END FROM (
    SELECT id, earliest, latest, deleted_at FROM agents WHERE former_name = :name
    UNION ALL
    SELECT id, earliest, latest, deleted_at FROM agents WHERE name = :name
) WHERE latest > :after ORDER BY id
