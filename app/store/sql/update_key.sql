UPDATE keys SET revoked_at = ?, crc = ? WHERE id = ?
