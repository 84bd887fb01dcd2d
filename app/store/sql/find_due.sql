-- Scheduled turns that join their mailbox, and agents whose next turn is to be tried again.
WITH first(due) AS (
    SELECT min(moment) FROM (
        SELECT min(s.not_before) AS moment FROM turns AS s WHERE s.status = 'scheduled'
        UNION ALL
        SELECT min(r.retry_at) FROM agents AS r WHERE r.retry_at IS NOT NULL
    )
)
SELECT f.due, a.name FROM first AS f JOIN turns AS t ON t.status = 'scheduled' AND t.not_before = f.due
    JOIN agents AS a ON a.id = t.agent
UNION
SELECT f.due, a.name FROM first AS f JOIN agents AS a ON a.retry_at = f.due AND a.retry_at IS NOT NULL
ORDER BY name
