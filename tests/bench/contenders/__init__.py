"""What is measured, and what it is measured against; each runs in a process of its own."""
