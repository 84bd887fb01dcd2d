"""What the service and the code that it runs log: one form for all lines, and what each line is about."""
