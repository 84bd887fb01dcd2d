SELECT agent, seq, type, turn, attempt, time, data, crc FROM events WHERE agent = ? ORDER BY seq
