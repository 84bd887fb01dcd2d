INSERT INTO events (agent, seq, type, turn, attempt, time, data, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
