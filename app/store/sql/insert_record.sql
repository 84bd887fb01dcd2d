-- In place of one that has outlived its turns.
INSERT OR REPLACE INTO records (agent, caller, key, digest, turn_ids, first_turn, created_at, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
