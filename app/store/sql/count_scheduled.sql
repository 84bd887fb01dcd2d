-- The delayed turns: as the agents count them, and as each of the two indexes has them.
SELECT
    (SELECT coalesce(sum(scheduled), 0) FROM agents),
    (SELECT count(*) FROM turns INDEXED BY turns_by_due WHERE status = 'scheduled'),
    (SELECT count(*) FROM turns INDEXED BY turns_scheduled WHERE status = 'scheduled')
