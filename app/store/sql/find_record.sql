SELECT digest, turn_ids FROM records WHERE agent = ? AND caller = ? AND key = ?
