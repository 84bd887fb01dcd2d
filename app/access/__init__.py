"""Keys, stream tickets and the audit log: their records, their commands, and the rules that decide them."""
