DELETE FROM events WHERE nr IN (SELECT nr FROM events WHERE agent = ? LIMIT ?)
