SELECT digest, turn_ids, crc FROM records WHERE agent = ? AND caller = ? AND key = ?
