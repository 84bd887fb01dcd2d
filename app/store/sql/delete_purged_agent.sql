-- One that was retired when nothing was left of it: no purge will come for its row.
DELETE FROM agents WHERE id = :agent AND NOT EXISTS (SELECT 1 FROM purges AS p WHERE p.agent = :agent)
