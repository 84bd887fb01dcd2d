INSERT INTO audit (time, actor, actor_name, address, request_id, action, target, details, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
