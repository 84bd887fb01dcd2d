UPDATE checks SET checked_at = ? WHERE id = 1
