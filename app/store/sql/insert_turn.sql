-- As it was accepted, perhaps begun at once: all other columns have defaults.
INSERT INTO turns (
    id, agent, tool, args, kwargs, metadata, timeout, not_before, parent_agent, parent_id, root, hops, retry, retry_of,
    status, created_at, first_seq, last_seq, position, attempt, start_time, started_seq, request, charged,
    crc
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
