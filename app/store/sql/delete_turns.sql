DELETE FROM turns WHERE nr IN (SELECT nr FROM turns WHERE agent = ? LIMIT ?)
