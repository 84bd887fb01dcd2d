SELECT * FROM turn_rows WHERE nr IN (
    SELECT q.nr FROM turns AS q INDEXED BY turns_by_due
    WHERE q.status = 'scheduled' AND q.agent BETWEEN :first_agent AND :last_agent
        AND q.nr > CASE WHEN :after IS NULL THEN 0 ELSE (SELECT c.nr FROM turns AS c WHERE c.id = :after) END
    ORDER BY q.nr LIMIT :limit
) ORDER BY nr
