"""The agents as objects of the library, when one is needed to execute a turn.

An agent of the code is one object for the life of the process. An agent made over the API is a row: its object is built
when one of its turns begins and forgotten when that turn has ended, so that an idle one costs nothing.
"""

import json
from collections.abc import Callable, Sequence

from pygents_core.agent import Agent
from pygents_core.hooks import AgentHook, Hook, TurnHook, hook_names
from pygents_core.mailbox import InMemoryMailbox, Mailbox
from pygents_core.memory import DEFAULT_LIMIT, WorkingMemory

from ..errors import StartupError
from ..model import NAME_PATTERN, Definition
from .catalogue import HOOK_TYPES, Catalogue, registered_hooks


class Roster:
    """``hook_timeout`` in seconds, for each hook.

    Raises ``StartupError`` for an agent of the code whose name the service cannot address.
    """

    def __init__(self, agents: Sequence[Agent], *, catalogue: Catalogue, hook_timeout: float) -> None:
        self._catalogue, self._hook_timeout = catalogue, hook_timeout
        self._agents = {agent.name: agent for agent in agents}
        self._memories = {agent.name: agent.memory.items for agent in agents if agent.memory is not None}
        self._mailbox: Callable[[str], Mailbox | None] = lambda name: None
        for agent in agents:
            _check_name(agent.name)
            _check_mailbox(agent)
            agent.hook_timeout = hook_timeout

    def connect(self, mailbox: Callable[[str], Mailbox]) -> None:
        """Put a mailbox, made by ``mailbox`` for a name, behind every agent from now on."""
        self._mailbox = mailbox
        for agent in self._agents.values():
            agent.mailbox = mailbox(agent.name)

    def definitions(self) -> list[Definition]:
        """The agents of the code, as they are to be stored."""
        return [_define(agent) for agent in self._agents.values()]

    @property
    def names(self) -> frozenset[str]:
        """The agents of the code."""
        return frozenset(self._agents)

    def agent(self, definition: Definition) -> Agent:
        """The agent of the code, or one built from its stored definition with those of its tools that are here."""
        return self._agents.get(definition.name) or self._build(definition)

    def refresh(self, agent: Agent, definition: Definition) -> None:
        """Bring an agent that was built for a turn up to date; one of the code is as the code has it."""
        if definition.name not in self._agents:
            agent.description = definition.description
            agent.hooks.clear()
            agent.hooks.update(_hooks(definition))

    def load_memory(self, agent: Agent, stored: bytes | None) -> None:
        """Give the agent's object the memory that was committed last; at first that with which the code made it."""
        if agent.memory is None:
            agent.memory = WorkingMemory(DEFAULT_LIMIT)
        agent.memory.replace(json.loads(stored) if stored is not None else self._memories.get(agent.name, ()))

    def _build(self, definition: Definition) -> Agent:
        tools = self._catalogue.tools()
        return Agent(
            definition.name,
            definition.description,
            [tools[name] for name in definition.tools if name in tools],
            hooks=_hooks(definition),
            memory=WorkingMemory(definition.memory_limit) if definition.memory_limit else None,
            mailbox=self._mailbox(definition.name),
            register=False,
            hook_timeout=self._hook_timeout,
        )


def _check_name(name: str) -> None:
    if not NAME_PATTERN.fullmatch(name):
        raise StartupError(
            f"The agent name {name!r} is not allowed: 1-64 letters, digits, '-' and '_', the first a letter or digit."
        )


def _check_mailbox(agent: Agent) -> None:
    """A mailbox in memory is replaced by the durable one: what is in it would be lost."""
    if isinstance(agent.mailbox, InMemoryMailbox) and len(agent.mailbox):
        raise StartupError(
            f"Agent {agent.name!r} has {len(agent.mailbox)} turns in its mailbox already, put there while the code was "
            "imported. Put them from a tool, or post them once the service is up."
        )


def _define(agent: Agent) -> Definition:
    return Definition(
        name=agent.name,
        description=agent.description,
        tools=tuple(tool.metadata.name for tool in agent.tools),
        hooks={kind: tuple(names) for kind, names in hook_names(agent.hooks).items() if names},
        memory_limit=agent.memory.limit if agent.memory is not None else None,
        source="code",
    )


def _hooks(definition: Definition) -> dict[AgentHook | TurnHook, list[Hook]]:
    """The stored names as functions. A name that is gone from the code is left out: the turn goes on without it."""
    known = registered_hooks()
    return {
        HOOK_TYPES[type_]: [known[name] for name in names if name in known] for type_, names in definition.hooks.items()
    }
