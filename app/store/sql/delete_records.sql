DELETE FROM records WHERE nr IN (SELECT nr FROM records WHERE agent = ? LIMIT ?)
