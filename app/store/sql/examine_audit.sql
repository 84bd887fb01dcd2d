SELECT nr, time, actor, actor_name, address, request_id, action, target, details, crc FROM audit ORDER BY nr
