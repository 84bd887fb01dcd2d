SELECT name FROM agents WHERE node IS NOT NULL OR current IS NOT NULL ORDER BY name
