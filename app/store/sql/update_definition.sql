UPDATE agents SET definition = ?, updated_at = ? WHERE id = ?
