SELECT agent FROM purges WHERE deleted_at < ? ORDER BY deleted_at LIMIT 1
