-- Turns that were not delayed wait in the order of their acceptance: a page of them begins behind the cursor's place in
-- it. The others are few.
SELECT * FROM turn_rows WHERE nr IN (
    SELECT nr FROM (
        SELECT q.nr FROM turns AS q
        WHERE q.agent = :agent AND q.status = 'queued' AND q.not_before IS NULL AND q.position > CASE
            WHEN :after IS NULL THEN 0
            ELSE coalesce((
                SELECT n.position - 1 FROM turns AS n
                WHERE n.agent = :agent AND n.not_before IS NULL
                    AND n.first_seq > (SELECT c.first_seq FROM turns AS c WHERE c.id = :after)
                ORDER BY n.first_seq LIMIT 1
            ), 9223372036854775807)
        END
        ORDER BY q.position LIMIT :limit
    )
    UNION ALL
    SELECT nr FROM (
        SELECT l.nr FROM turns AS l
        WHERE l.agent = :agent AND l.status = 'queued' AND l.not_before IS NOT NULL
            AND l.nr > CASE WHEN :after IS NULL THEN 0 ELSE (SELECT c.nr FROM turns AS c WHERE c.id = :after) END
        ORDER BY l.nr LIMIT :limit
    )
) ORDER BY nr LIMIT :limit
