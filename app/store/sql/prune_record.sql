DELETE FROM records WHERE first_turn = ?
