INSERT INTO turns (
    id, agent, tool, args, kwargs, metadata, timeout, not_before, parent_agent, parent_id, root, hops, retry, retry_of,
    status, created_at, first_seq, last_seq, position, attempt, start_time, end_time, value_count, output, error,
    cancel_by, cancel_reason, started_seq, retry_at, spared, crashes, crc, end_crc
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
