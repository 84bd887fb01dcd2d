-- By creation. An unknown cursor lists nothing.
SELECT id, name, digest, grants, created_at, expires_at, revoked_at, rate, burst, streams, crc FROM keys
WHERE nr > CASE WHEN :after IS NULL THEN 0 ELSE (SELECT nr FROM keys WHERE id = :after) END
ORDER BY nr LIMIT :limit
