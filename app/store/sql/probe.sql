-- Touches the first page of each table, and those of the indexes that every start needs.
SELECT
    (SELECT count(*) FROM (SELECT * FROM agents ORDER BY name LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM turns ORDER BY nr DESC LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM events ORDER BY nr DESC LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM records ORDER BY nr DESC LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM memories LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM purges ORDER BY deleted_at LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM checks LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM keys LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM tickets ORDER BY until LIMIT 1)),
    (SELECT count(*) FROM (SELECT * FROM audit ORDER BY nr DESC LIMIT 1))
