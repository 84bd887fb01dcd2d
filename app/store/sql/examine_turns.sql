SELECT * FROM turn_rows WHERE agent_id = ? ORDER BY first_seq
