UPDATE agents SET definition = ?, crc = ?, created_at = ?, updated_at = ? WHERE id = ?
