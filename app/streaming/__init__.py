"""Fan-out: committed events become SSE bytes once, and every reader goes on from its own cursor. Knows no store."""
