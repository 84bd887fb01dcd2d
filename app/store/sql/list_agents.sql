-- The prefix as a range of names, which the index on the name serves.
SELECT * FROM agent_rows WHERE name > :after AND name >= :prefix AND name < :prefix_end ORDER BY name LIMIT :limit
