"""HTTP in, HTTP out: one file per noun. No SQL, no asyncio tasks; errors become problems in one place."""
