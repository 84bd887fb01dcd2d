-- Events in the order of their commits: nearly that of their times. Those of deleted agents have no name.
SELECT e.nr, e.time, a.name FROM events AS e LEFT JOIN agents AS a ON a.id = e.agent AND a.deleted_at IS NULL
WHERE e.nr > ? ORDER BY e.nr LIMIT ?
