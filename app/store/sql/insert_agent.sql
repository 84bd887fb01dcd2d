INSERT INTO agents (
    name, definition, crc, created_at, updated_at, paused, node, epoch, current, queued, scheduled, joined, begun, earliest,
    latest, retry_at, last_error, deleted_at, skipped, head_crc
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
