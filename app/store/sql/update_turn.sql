-- Without the position: naming an indexed column rewrites its index entry even if the value stays.
UPDATE turns SET
    status = ?, last_seq = ?, attempt = ?, start_time = ?, end_time = ?, value_count = ?, output = ?, error = ?,
    cancel_by = ?, cancel_reason = ?, started_seq = ?, retry_at = ?, spared = ?, crashes = ?, end_crc = ?
WHERE id = ?
