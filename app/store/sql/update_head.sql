-- What a turn's life changes; the definition has a statement of its own.
UPDATE agents SET
    paused = ?, node = ?, epoch = ?, current = ?, queued = ?, scheduled = ?, joined = ?, begun = ?, earliest = ?,
    latest = ?, retry_at = ?, last_error = ?, deleted_at = ?, skipped = ?, head_crc = ?
WHERE id = ?
