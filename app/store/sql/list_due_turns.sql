-- The plus keeps the planner from the index on the agent, which would read that agent's whole history.
SELECT * FROM turn_rows WHERE +agent_id = ? AND status = 'scheduled' AND not_before <= ? ORDER BY not_before, nr
