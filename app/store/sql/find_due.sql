SELECT DISTINCT t.not_before, a.name FROM turns AS t JOIN agents AS a ON a.id = t.agent
WHERE t.status = 'scheduled' AND t.not_before = (SELECT min(s.not_before) FROM turns AS s WHERE s.status = 'scheduled')
ORDER BY a.name
