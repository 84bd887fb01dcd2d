-- The queued ones in the mailbox's order, then the scheduled ones by acceptance: these have no position.
SELECT * FROM turn_rows WHERE nr IN (
    SELECT q.nr FROM turns AS q WHERE q.agent = :agent AND q.position > :begun AND q.status = 'queued'
    UNION ALL
    SELECT s.nr FROM turns AS s WHERE s.agent = :agent AND s.status = 'scheduled'
) ORDER BY position IS NULL, position, nr
