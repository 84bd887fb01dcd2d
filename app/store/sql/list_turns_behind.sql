-- Read row by row, and no further than needed. Later turns were accepted later.
SELECT id, last_seq, end_time, created_at FROM turns WHERE agent = ? AND first_seq < ? ORDER BY first_seq
