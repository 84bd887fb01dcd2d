SELECT agent, data, crc FROM memories WHERE agent = (SELECT id FROM agents WHERE name = ? AND deleted_at IS NULL)
