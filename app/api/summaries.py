"""What each operation does, in a few words: an order to the service, without a full stop. Lists show it."""

from collections.abc import Mapping, Sequence

SUMMARIES: Mapping[str, str] = {
    "listAgents": "List agents",
    "createAgent": "Create an agent",
    "getAgent": "Look at an agent",
    "patchAgent": "Change an agent",
    "deleteAgent": "Delete an agent",
    "pauseAgent": "Pause an agent",
    "resumeAgent": "Resume an agent",
    "submitTurn": "Submit a turn",
    "submitTurns": "Submit many turns, all or none",
    "listTurns": "List an agent's turns",
    "getTurn": "Look at a turn, or wait for its end",
    "cancelTurn": "Cancel a turn",
    "retryTurn": "Submit an ended turn once more",
    "listAllTurns": "List the turns of all agents",
    "getTurnById": "Look at a turn of whatever agent",
    "streamAgent": "Follow an agent's events",
    "streamTurn": "Follow a turn's events, up to its end",
    "listEvents": "List an agent's events",
    "listTools": "List tools",
    "getTool": "Look at a tool",
    "listProblems": "List what can go wrong",
    "getProblem": "Look up what a problem means",
    "health": "Ask whether the process answers",
    "ready": "Ask whether the service takes turns",
    "info": "Ask what runs here",
    "limits": "List all limits",
    "metrics": "Read the metrics",
    "listKeys": "List keys",
    "createKey": "Make a key",
    "getKey": "Look at a key",
    "revokeKey": "Revoke a key",
    "signIn": "Sign a browser in",
    "getSession": "Ask who one is",
    "signOut": "Sign a browser out",
    "createStreamTicket": "Get a ticket for a browser's stream",
    "listAudit": "List what admins have done",
    "backup": "Download a copy of the database",
}
"""By operation id."""

TAGS: Sequence[Mapping[str, str]] = (
    {"name": "agents", "description": "Long-lived, with a name, tools, a mailbox, a log and perhaps a working memory."},
    {"name": "turns", "description": "Units of work for an agent, done strictly one after the other."},
    {"name": "events", "description": "What has happened to an agent and its turns: stored, numbered, and live."},
    {"name": "tools", "description": "What agents can be asked to do."},
    {"name": "problems", "description": "What can go wrong, what it means and what to do."},
    {
        "name": "access",
        "description": "Keys, what they allow, tickets and cookies for browsers, and the log of what admins do.",
    },
    {"name": "operations", "description": "For those who run the service."},
)
"""The nouns, in the order in which one gets to know them."""
