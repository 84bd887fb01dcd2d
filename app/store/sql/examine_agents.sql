SELECT
    id, definition, created_at, updated_at, paused, node, epoch, current, queued, scheduled, joined, begun, earliest,
    latest, retry_at, last_error, deleted_at, skipped, crc, head_crc
FROM agents WHERE name IS NOT NULL ORDER BY name
