-- Its name belongs to another agent from now on. It owns nothing: the other has taken that over.
UPDATE agents SET former_name = name, name = NULL, node = NULL WHERE id = ?
