DELETE FROM purges WHERE agent = ?
