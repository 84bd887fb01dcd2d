-- Each with whether its turn is there.
SELECT r.turn, r.traceparent, r.tracestate, r.crc, EXISTS (SELECT 1 FROM turns AS t WHERE t.id = r.turn) FROM traces AS r
