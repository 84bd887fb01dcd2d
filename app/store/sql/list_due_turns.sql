SELECT * FROM turn_rows WHERE agent_id = ? AND status = 'scheduled' AND not_before <= ? ORDER BY not_before, nr
