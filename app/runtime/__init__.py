"""What makes agents live: claiming work, executing turns on a worker loop, messages between agents, recovery, drain."""
