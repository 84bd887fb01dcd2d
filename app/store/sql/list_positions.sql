-- Of the turns that wait, up to one of them; from the index alone.
SELECT q.position FROM turns AS q WHERE q.agent = ? AND q.status = 'queued' AND q.position <= ? ORDER BY q.position
