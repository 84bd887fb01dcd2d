-- By which request a chain of turns was begun, and whom what comes of it is charged to: NULL for turns of the code, and
-- for those from before. In the turns' own rows, because most have it. And limits of single keys.

ALTER TABLE turns ADD COLUMN request TEXT;
ALTER TABLE turns ADD COLUMN charged TEXT;

ALTER TABLE keys ADD COLUMN rate REAL;
ALTER TABLE keys ADD COLUMN burst INTEGER;
ALTER TABLE keys ADD COLUMN streams INTEGER;

-- As it was, with the new columns at its end.
DROP VIEW turn_rows;

CREATE VIEW turn_rows AS
SELECT
    t.id, a.name AS agent, t.tool, t.args, t.kwargs, t.metadata, t.timeout, t.not_before, t.parent_agent, t.parent_id,
    t.root, t.hops, t.retry, t.retry_of, t.status, t.created_at, t.first_seq, t.last_seq, t.position, t.attempt, t.start_time, t.end_time,
    t.value_count, t.output, t.error, t.cancel_by, t.cancel_reason, t.started_seq, t.retry_at, t.spared, t.crashes,
    CASE
        WHEN t.status <> 'queued' THEN NULL
        WHEN a.joined - a.begun = a.queued THEN t.position - a.begun
        ELSE -1
    END AS place,
    t.nr, t.agent AS agent_id, t.crc, t.end_crc, t.request, t.charged
FROM turns AS t JOIN agents AS a ON a.id = t.agent
WHERE a.deleted_at IS NULL;
