SELECT a.name, a.id, r.caller, r.key, r.digest, r.turn_ids, r.crc FROM records AS r JOIN agents AS a ON a.id = r.agent
WHERE a.name IS NOT NULL
