DELETE FROM sessions WHERE until <= ? OR used_at <= ?
