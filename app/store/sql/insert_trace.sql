INSERT INTO traces (turn, traceparent, tracestate, crc) VALUES (?, ?, ?, ?)
