"""The store of one process: any local engine behind the port ``ports.Store``."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, BinaryIO

from ..access.records import AccessKey, Session, Ticket
from ..clock import Clock
from ..commands import Command
from ..errors import ServiceError, Unavailable
from ..model import Event, ListedAgent, Page, PlacedTurn, Trace, TurnRef, TurnStatus
from ..ports import Listener, Measures, OldLogs
from ..telemetry import CommitFailed, Committed, Emit, silent
from .access import all_keys
from .committer import Committer
from .engine import Engine
from .script import Answer, apply_batch

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
"""How long a check may take. A disk that hangs is not available, though nothing has failed yet."""


class LocalStore:
    """Implements ``ports.Store``: commands go through the committer, reads straight to the engine."""

    def __init__(self, *, engine: Engine, clock: Clock, emit: Emit = silent) -> None:
        self._engine, self._clock, self._emit = engine, clock, emit
        self._committer = Committer(apply=self._apply)
        self._copying = asyncio.Lock()  # one at a time: each takes as much space as the database
        self._closed = False

    # The overloads of the port say which reply belongs to which command; ``Any`` here keeps this class within them.
    def execute(self, command: Command) -> "asyncio.Future[Any]":
        return self._committer.execute(command)

    def listen(self, listener: Listener) -> Callable[[], None]:
        return self._committer.listen(listener)

    def pending_seconds(self) -> float:
        return self._committer.pending_seconds

    async def purge(self, deleted_before: int, limit: int) -> int:
        return await self._committer.call(lambda: self._engine.purge(deleted_before, limit))

    async def backup(self) -> BinaryIO:
        async with self._copying:
            return await asyncio.to_thread(self._engine.backup)

    async def measure(self) -> Measures:
        measures = await self._engine.read(lambda snapshot: snapshot.measure())
        database, log = self._engine.sizes()
        return measures._replace(database_bytes=database, log_bytes=log)

    async def check(self) -> None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._committer.call(self._engine.check)
                await self._engine.read(lambda snapshot: snapshot.ready_agents(1))
        except ServiceError:
            raise
        except Exception as error:
            log.warning("the check of the store failed: %r", error)
            raise Unavailable("The store cannot be read or written now. Try again later.") from error

    async def close(self) -> None:
        await self._committer.close()
        if not self._closed:
            self._closed = True
            self._engine.close()

    # --- reads -------------------------------------------------------------------------------------------------------

    async def get_agent(self, name: str) -> ListedAgent | None:
        return await self._engine.read(lambda snapshot: snapshot.get_agent(name))

    async def list_agents(self, *, prefix: str = "", after: str | None = None, limit: int = 100) -> Page:
        return await self._engine.read(lambda snapshot: snapshot.list_agents(prefix, after, limit))

    async def get_turn(self, turn_id: str, agent: str | None = None) -> PlacedTurn | None:
        return await self._engine.read(lambda snapshot: snapshot.get_turn(turn_id, agent))

    async def list_turns(
        self,
        agent: str | None = None,
        *,
        status: TurnStatus | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        return await self._engine.read(lambda snapshot: snapshot.list_turns(agent, status, after, limit))

    async def list_children(self, turn_id: str) -> list[TurnRef]:
        return await self._engine.read(lambda snapshot: snapshot.list_children(turn_id))

    async def get_trace(self, turn_id: str) -> Trace | None:
        return await self._engine.read(lambda snapshot: snapshot.get_trace(turn_id))

    async def read_events(self, agent: str, after: int, limit: int, up_to: int | None = None) -> list[Event]:
        return await self._engine.read(lambda snapshot: snapshot.read_events(agent, after, limit, up_to))

    async def read_memory(self, agent: str) -> bytes | None:
        return await self._engine.read(lambda snapshot: snapshot.read_memory(agent))

    async def owned_agents(self) -> list[str]:
        return await self._engine.read(lambda snapshot: snapshot.owned_agents())

    async def ready_agents(self, limit: int, after: str = "") -> list[str]:
        return await self._engine.read(lambda snapshot: snapshot.ready_agents(limit, after))

    async def next_due(self) -> tuple[int, list[str]] | None:
        return await self._engine.read(lambda snapshot: snapshot.next_due())

    async def prunable_agents(self, length: int, limit: int, after: str = "") -> list[str]:
        return await self._engine.read(lambda snapshot: snapshot.prunable_agents(length, limit, after))

    async def old_logs(self, before: int, now: int, after: int = 0) -> OldLogs:
        return await self._engine.read(lambda snapshot: snapshot.old_logs(before, now, after))

    async def all_keys(self) -> list[AccessKey]:
        return await self._engine.read(lambda snapshot: all_keys(snapshot.access))

    async def list_keys(self, *, after: str | None = None, limit: int = 100) -> Page:
        return await self._engine.read(lambda snapshot: snapshot.access.list_keys(after, limit))

    async def list_audit(self, *, after: int = 0, limit: int = 100) -> Page:
        return await self._engine.read(lambda snapshot: snapshot.access.list_audit(after, limit))

    async def get_ticket(self, digest: bytes) -> Ticket | None:
        return await self._engine.read(lambda snapshot: snapshot.access.ticket(digest))

    async def all_sessions(self) -> list[Session]:
        return await self._engine.read(lambda snapshot: snapshot.access.sessions())

    def _apply(self, commands: Sequence[Command]) -> list[Answer]:
        began = perf_counter()
        answers = apply_batch(self._engine, commands, self._clock(), failed=self._failed)
        self._emit(Committed(len(commands), perf_counter() - began))
        return answers

    def _failed(self, why: Exception) -> None:
        self._emit(CommitFailed(why.type if isinstance(why, ServiceError) else ServiceError.type))
