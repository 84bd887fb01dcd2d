"""Making, changing, pausing and deleting agents: what a definition names must be registered here."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from .. import errors
from ..access.commands import audited
from ..access.records import Entry
from ..commands import AgentReply, CreateAgent, DeleteAgent, PatchAgent, Pause, Resume, Starter
from ..model import Definition
from ..pointers import pointer
from ..ports import Store
from .catalogue import HOOK_TYPES, Tools, registered_hooks


class Administration:
    """``starting`` reserves a place for the turn that a resumed agent begins; ``code_agents`` are those of the code.

    What is done with an ``entry`` is in the audit log, in the same transaction.
    """

    def __init__(
        self,
        *,
        store: Store,
        catalogue: Tools,
        starting: Callable[[], AbstractContextManager[Starter | None]],
        code_agents: frozenset[str],
    ) -> None:
        self._store, self._catalogue = store, catalogue
        self._starting, self._code_agents = starting, code_agents

    async def create(self, definition: Definition, entry: Entry | None = None) -> AgentReply:
        """Create an agent, or find it as it is defined. Raises InvalidRequest (unknown tool or hook), AgentExists."""
        self._check({"tools": definition.tools, "hooks": definition.hooks})
        return await self._store.execute(audited(CreateAgent(definition), entry))

    async def patch(self, name: str, changes: Mapping[str, Any], entry: Entry | None = None) -> AgentReply:
        """Apply a merge patch (RFC 7396). Raises InvalidRequest, AgentNotFound, CodeAgent."""
        self._check(changes)
        return await self._store.execute(audited(PatchAgent(name, changes, self._code_agents), entry))

    async def pause(self, name: str, entry: Entry | None = None) -> AgentReply:
        """Begin no further turn of it, durably; the running one goes on. Raises AgentNotFound."""
        return await self._store.execute(audited(Pause(name), entry))

    async def resume(self, name: str, entry: Entry | None = None) -> AgentReply:
        """Let its mailbox go on. Raises AgentNotFound."""
        with self._starting() as starter:
            return await self._store.execute(audited(Resume(name, starter), entry))

    async def delete(self, name: str, *, by: str, force: bool, entry: Entry | None = None) -> AgentReply:
        """End its log, with ``force`` its turns first. Raises AgentNotFound, AgentBusy, CodeAgent."""
        return await self._store.execute(audited(DeleteAgent(name, by, force, self._code_agents), entry))

    def _check(self, named: Mapping[str, Any]) -> None:
        unknown = [*self._unknown_tools(named.get("tools") or ()), *_unknown_hooks(named.get("hooks") or {})]
        if unknown:
            raise errors.InvalidRequest("The agent names tools or hooks that are not registered here.", errors=unknown)

    def _unknown_tools(self, names: Any) -> list[dict[str, str]]:
        tools = self._catalogue.tools()
        return [
            {"pointer": f"/tools/{index}", "detail": f"tool {name!r} is not registered"}
            for index, name in enumerate(names)
            if name not in tools
        ]


def _unknown_hooks(by_type: Mapping[str, Any]) -> list[dict[str, str]]:
    hooks = registered_hooks()
    unknown = []
    for type_, names in by_type.items():
        if type_ not in HOOK_TYPES:
            known = ", ".join(HOOK_TYPES)
            unknown.append({"pointer": pointer(["hooks", type_]), "detail": f"not a hook type; those are: {known}"})
            continue
        unknown += [
            {"pointer": pointer(["hooks", type_, index]), "detail": f"hook {name!r} is not registered"}
            for index, name in enumerate(names or ())
            if name not in hooks
        ]
    return unknown
