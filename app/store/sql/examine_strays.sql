SELECT 'events', count(*) FROM events WHERE agent NOT IN (SELECT id FROM agents)
UNION ALL
SELECT 'turns', count(*) FROM turns WHERE agent NOT IN (SELECT id FROM agents)
UNION ALL
SELECT 'records', count(*) FROM records WHERE agent NOT IN (SELECT id FROM agents)
UNION ALL
SELECT 'memories', count(*) FROM memories WHERE agent NOT IN (SELECT id FROM agents)
