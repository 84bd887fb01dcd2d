SELECT digest, key, agents, until, path, crc FROM tickets WHERE digest = ?
