-- By way of the agents: few turns of a long history run, and no index keeps them apart. CROSS JOIN fixes that order.
SELECT * FROM turn_rows WHERE nr IN (
    SELECT q.nr FROM agents AS h CROSS JOIN turns AS q
    WHERE h.id BETWEEN :first_agent AND :last_agent AND h.current IS NOT NULL AND q.id = h.current
        AND q.nr > CASE WHEN :after IS NULL THEN 0 ELSE (SELECT c.nr FROM turns AS c WHERE c.id = :after) END
    ORDER BY q.nr LIMIT :limit
) ORDER BY nr
