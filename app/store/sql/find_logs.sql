-- The agents that have or had the name and events beyond the cursor, the oldest first: their numbers ascend.
SELECT id FROM (
    SELECT id, latest FROM agents WHERE former_name = :name
    UNION ALL
    SELECT id, latest FROM agents WHERE name = :name
) WHERE latest > :after ORDER BY id
