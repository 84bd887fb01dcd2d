-- A commit without events: what it wrote must not get lost unnoticed either.
UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'events'
