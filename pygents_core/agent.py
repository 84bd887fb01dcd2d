"""Agents: long-lived, named, with a mailbox; they run their turns one after the other."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from ._attempt import CURRENT, RUN, RUN_TURN, Attempt
from ._reading import Once, read
from ._registry import Registry
from .errors import NotRunningError, SafeExecutionError, UnregisteredAgentError, WrongRunMethodError
from .hooks import (
    AgentHook,
    Hook,
    HookRunner,
    Hooks,
    TurnHook,
    add_hook,
    hook_names,
    hooks_from_names,
    registered,
)
from .mailbox import InMemoryMailbox, Mailbox
from .memory import WorkingMemory
from .tool import Tool, ToolRegistry
from .turn import Turn

# What may be assigned while the agent runs.
FREE = frozenset({"memory", "_running", "_paused", "_resumed"})


class Agent:
    """A name, tools, and a mailbox of turns.

    Every tool must be the registered one of its name: UnregisteredToolError, or ValueError if it is another instance.
    ``hooks`` may hold turn hooks, too: those apply to each of its turns. ``hook_timeout`` limits each hook, in seconds.
    ``memory`` is what tools with a ``WorkingMemory`` parameter get a copy of; without one, the first completed turn of
    such a tool leaves its own (100 items). ``register``: whether it is in ``AgentRegistry``, which raises ValueError if
    the name is taken. While ``run()`` is going on, nothing but ``memory`` may be assigned: SafeExecutionError.
    """

    # With a dict, so that users may keep attributes of their own on an agent; it costs nothing until they do.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_paused",
        "_resumed",
        "_running",
        "description",
        "hook_timeout",
        "hooks",
        "mailbox",
        "memory",
        "name",
        "tools",
    )

    def __init__(
        self,
        name: str,
        description: str,
        tools: list[Tool],
        *,
        hooks: Mapping[TurnHook | AgentHook, Iterable[Hook]] | None = None,
        memory: WorkingMemory | None = None,
        mailbox: Mailbox | None = None,
        register: bool = True,
        hook_timeout: float | None = None,
    ) -> None:
        for tool in tools:
            _refuse_other_instance(tool)
        self._running = False
        self._paused = False
        self._resumed: asyncio.Future[None] | None = None
        self.name = name
        self.description = description
        self.tools = tools
        self.memory = memory
        self.mailbox: Mailbox = InMemoryMailbox(resolve=AgentRegistry.get) if mailbox is None else mailbox
        self.hook_timeout = hook_timeout
        self.hooks: Hooks = {} if hooks is None else registered(hooks)
        if register:
            AgentRegistry.register(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in FREE and self._running:
            raise SafeExecutionError(f"Cannot change property {name!r} while the agent is running.")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<agent {self.name!r}>"

    def add_hook(self, hook_type: AgentHook | TurnHook, hook: Hook, name: str | None = None) -> None:
        """Add a hook, and register it under ``name`` or its own. Raises ValueError if the name is another hook's."""
        add_hook(self.hooks, hook_type, hook, name)

    def accepts(self, tool_name: str) -> bool:
        """Whether a turn of that tool may be put."""
        return tool_name in [tool.metadata.name for tool in self.tools]

    # -- mailbox ------------------------------------------------------------------------------------------------------

    async def put(self, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None) -> None:
        """Add a turn to the agent's own mailbox, at once, after ``delay`` seconds, or at a time with a zone.

        Raises ValueError for a tool that the agent does not have, and what a BEFORE_PUT hook or the mailbox raises.
        """
        hooks = self.hooks  # mostly none: no need to ask for any then
        if hooks and AgentHook.BEFORE_PUT in hooks:
            await self.admit(turn, guard_hooks=False)
        else:
            self._refuse_foreign(turn)
        await self.mailbox.put(turn, delay=delay, not_before=not_before)
        if hooks and AgentHook.AFTER_PUT in hooks:
            await self.tell_put(turn)

    async def admit(self, turn: Turn[Any], *, guard_hooks: bool = True) -> None:
        """Do all that ``put`` does before the mailbox: check the tool and run the BEFORE_PUT hooks; nothing is stored.

        Raises ValueError for a tool that the agent does not have, and, with ``guard_hooks``, HookFailed for a hook
        that raises; without, the hook's own exception.
        """
        self._refuse_foreign(turn)
        if before := self.hooks.get(AgentHook.BEFORE_PUT):
            runner = HookRunner(limit=self.hook_timeout, wrap=guard_hooks)
            await runner.fire(AgentHook.BEFORE_PUT, before, self, turn)

    async def tell_put(self, turn: Turn[Any]) -> None:
        """Run the AFTER_PUT hooks for a turn that is in the mailbox. What they raise is logged."""
        after = self.hooks.get(AgentHook.AFTER_PUT, ())
        await HookRunner(limit=self.hook_timeout).fire(AgentHook.AFTER_PUT, after, self, turn)

    def _refuse_foreign(self, turn: Turn[Any]) -> None:
        tool: Tool | None = turn._tool
        if tool is None:
            raise ValueError("Turn has no tool")
        if tool not in self.tools and not self.accepts(tool.metadata.name):
            raise ValueError(f"Agent {self.name!r} does not accept tool {tool.metadata.name!r}")

    async def send_turn(
        self, agent_name: str, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None
    ) -> None:
        """Add a turn to another agent's mailbox. Raises UnregisteredAgentError, and what its ``put`` raises."""
        await self.mailbox.send(agent_name, turn, delay=delay, not_before=not_before)

    async def pop(self) -> Turn[Any]:
        """Take the next turn out of the mailbox; waits for one if there is none."""
        return await self._readable().pop()

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> AsyncGenerator[tuple[Turn[Any], Any], None]:
        """Run the mailbox's turns one after the other, until it is empty, and yield ``(turn, value)`` for each value.

        Waits for turns that are not due yet, and while the agent is paused. A turn that a tool returned is yielded as
        its value and put into the mailbox. An error, a timeout or a failing guard hook leaves it; the other turns stay
        in the mailbox. Raises SafeExecutionError if the agent is running already.
        """
        self._refuse_if_running()
        return read(_Run(self), pairs=True)

    def run_turn(
        self, turn: Turn[Any], *, begin: Callable[[], Awaitable[object]] | None = None
    ) -> AsyncGenerator[Any, None]:
        """Run one turn and yield its values: the one primitive that executes a turn, whatever mailbox it came from.

        A coroutine tool yields exactly one value, None too; none if it returned a turn, which is in ``turn.output`` and
        put nowhere. The values of a generator are not kept: its output is None.
        ``begin`` is awaited once the tool's lock is held, before anything else happens: if it raises, nothing has.
        Raises what the tool raises, TurnTimeoutError, and HookFailed for a guarding hook. Whoever cancels the task has
        it thrown into the tool: a tool that lets the CancelledError out ends ``cancelled``, even if its time is over by
        then; one that catches it decides itself how it ends, within its time. ``turn.stop_reason`` says how it ended.
        """
        turn.refuse_if_running()
        return read(Once(Attempt(turn, RUN_TURN, self, begin=begin)), pairs=False)

    @property
    def is_paused(self) -> bool:
        """Whether ``run()`` starts no turns."""
        return self._paused

    def pause(self) -> None:
        """Start no further turns; one that is running goes on to its end."""
        self._paused = True

    def resume(self) -> None:
        """Go on after ``pause()``. Must be called on the event loop that runs the agent."""
        self._paused = False
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    async def _next(self) -> Turn[Any] | None:
        """Wait for a turn that is due and for the agent not to be paused; None if the mailbox is empty."""
        mailbox = self._readable()
        while len(mailbox):
            if self._paused:
                await self._resumption()
            elif (turn := mailbox.take()) is not None:
                return turn
            else:
                await mailbox.change()
        return None

    async def _resumption(self) -> None:
        self._resumed = asyncio.get_running_loop().create_future()
        try:
            await self._resumed
        finally:
            self._resumed = None

    def _readable(self) -> InMemoryMailbox:
        if not isinstance(self.mailbox, InMemoryMailbox):
            raise WrongRunMethodError(f"The turns of {self!r} are run by the owner of its mailbox.")
        return self.mailbox

    def _start(self) -> None:
        self._refuse_if_running()
        self._running = True

    def _stop(self) -> None:
        self._running = False

    def _refuse_if_running(self) -> None:
        if self._running:
            raise SafeExecutionError(f"{self!r} cannot be started: it is running.")

    # -- as a dict ----------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The agent with its waiting turns; delayed ones with ``not_before``. ``memory`` only if it has one."""
        entries = self._readable().entries()
        queue = [turn.to_dict() | ({"not_before": due.isoformat()} if due else {}) for turn, due in entries]
        return {
            "name": self.name,
            "description": self.description,
            "tool_names": [tool.metadata.name for tool in self.tools],
            "queue": queue,
            "hooks": hook_names(self.hooks),
            **({"memory": self.memory.to_dict()} if self.memory is not None else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Agent":
        """Rebuild from ``to_dict`` and the registries, and register the agent; its mailbox is a new one in memory.

        Runs no hooks. Raises the registries' errors for unknown names, ValueError if the agent's name is taken.
        """
        mailbox = InMemoryMailbox(resolve=AgentRegistry.get)
        for turn in data.get("queue", ()):
            due = turn.get("not_before")
            mailbox.add(Turn.from_dict(turn), not_before=datetime.fromisoformat(due) if due else None)
        memory = data.get("memory")
        return cls(
            data["name"],
            data["description"],
            [ToolRegistry.get(name) for name in data["tool_names"]],
            hooks=hooks_from_names(data.get("hooks", {})),
            memory=WorkingMemory.from_dict(memory) if memory else None,
            mailbox=mailbox,
        )


class _Run:
    """The attempts of one ``run()``. The agent is running from the first to the last."""

    __slots__ = ("_agent", "_is_started", "_last")

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._is_started = False
        self._last: Turn[Any] | None = None

    async def following(self) -> Attempt | None:
        if not self._is_started:
            self._agent._start()
            self._is_started = True
        elif self._last is not None and isinstance(self._last.output, Turn):
            await self._agent.put(self._last.output)
        turn = None if self._agent._paused else self._agent._readable().take()
        self._last = turn = turn or await self._agent._next()
        return None if turn is None else Attempt(turn, RUN, self._agent)

    def stop(self) -> None:
        if self._is_started:
            self._agent._stop()


AgentRegistry: Registry[Agent] = Registry("Agent", missing=UnregisteredAgentError, name_of=lambda agent: agent.name)


def current_agent() -> Agent:
    """Return the agent whose turn is running here, also in tasks that its tool started; else NotRunningError."""
    attempt = CURRENT.get(None)
    if attempt is None or not isinstance(attempt.owner, Agent):
        raise NotRunningError("no agent's turn is running here")
    return attempt.owner


def _refuse_other_instance(tool: Tool) -> None:
    name = tool.metadata.name
    if ToolRegistry.get(name) is not tool:
        raise ValueError(f"Tool {name!r} is registered but not the instance given to this agent.")
