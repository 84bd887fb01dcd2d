-- Where in a trace a turn was made (W3C Trace Context). Beside the turns, because most have none, and those must not pay.

CREATE TABLE traces (
    turn TEXT NOT NULL PRIMARY KEY,
    traceparent TEXT NOT NULL,
    tracestate TEXT NOT NULL,
    crc INTEGER NOT NULL
) WITHOUT ROWID;

-- However a turn goes: pruned, or with its agent.
CREATE TRIGGER traces_go_with_turns AFTER DELETE ON turns
BEGIN DELETE FROM traces WHERE turn = OLD.id; END;
