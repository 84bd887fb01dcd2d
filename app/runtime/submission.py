"""The one way into a mailbox, for HTTP, ``put`` and ``send``: check the turn against its tool, then enqueue it.

Nothing is stored before every check has passed. Whether the agent exists, accepts the tool and has room is decided
again inside the transaction, by ``lifecycle.decide``, because it may change in between.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from msgspec.structs import replace

from pygents_core.errors import ArgumentsError, UnregisteredDynamicError
from pygents_core.serialization import decode_arguments, encode
from pygents_core.turn import Turn as CoreTurn

from .. import errors
from ..access.commands import LogEntry, audited
from ..access.records import Entry
from ..clock import new_id
from ..commands import Cancel, Cancelled, Cascade, Enqueue, Enqueued, GuardNeeded, Origin, Starter
from ..model import Asker, CancelRequest, Definition, KeyRecord, Trace, TurnRef, TurnSpec
from ..pointers import pointer
from ..ports import Store
from ..tracing.port import nothing_carried
from .catalogue import Catalogue
from .requests import Lineage, TurnRequest
from .translation import core_turn, repeated

YIELD_EVERY = 50
OVER = (errors.TurnEnded, errors.TurnNotFound, errors.AgentNotFound)
"""What cancelling a turn is answered where there is nothing left to cancel."""
"""Turns of an array that are checked before the event loop does something else."""


class PutGuard(Protocol):
    """Runs the put hooks of an agent, wherever tools run."""

    async def before(self, definition: Definition, turn: CoreTurn[Any]) -> None:
        """BEFORE_PUT. Raises ``SubmitRejected`` or ``Unavailable``."""

    async def after(self, definition: Definition, turn: CoreTurn[Any]) -> None:
        """AFTER_PUT. Raises nothing."""


class Submission:
    """``starting`` reserves a place among the turns that this node runs at once.

    ``accepts`` tells whether it still takes turns from outside, ``code_agents`` which agents of the code it has.
    ``mailbox_limit`` counts turns, ``max_hops`` sends. ``carried`` tells in which trace the calling code is.
    """

    def __init__(
        self,
        *,
        store: Store,
        catalogue: Catalogue,
        starting: Callable[[], AbstractContextManager[Starter | None]],
        accepts: Callable[[], bool],
        guard: PutGuard,
        code_agents: frozenset[str],
        mailbox_limit: int,
        max_hops: int,
        carried: Callable[[], Trace | None] = nothing_carried,
    ) -> None:
        self._carried = carried
        self._store, self._catalogue = store, catalogue
        self._starting, self._accepts, self._guard = starting, accepts, guard
        self._code_agents, self._mailbox_limit, self._max_hops = code_agents, mailbox_limit, max_hops

    async def submit(
        self,
        agent: str,
        requests: Sequence[TurnRequest],
        *,
        caller: str = "",
        key: str | None = None,
        digest: bytes = b"",
        guarded: bool = False,
        batch: bool = False,
        asker: Asker | None = None,
    ) -> Enqueued:
        """Accept turns from outside, all or none. Answers once they are durable.

        ``guarded``: the caller cares for the agent's put hooks. ``batch``: they came as an array. ``asker``: who asks,
        also for all that comes of them.

        A ``key`` that is known is answered with its turns even if they would not be accepted any more. Raises Draining,
        AgentNotFound, AgentGone, ToolNotAccepted, InvalidArguments, SubmitRejected, MailboxFull, KeyReused.
        """
        record = KeyRecord(agent, caller, key, digest, ()) if key is not None else None
        try:
            self._check_open()
            specs = (
                await self._specs(agent, requests, asker)
                if batch
                else (await self._spec(agent, requests[0], asker=asker),)
            )
            if record is not None:
                record = record._replace(turn_ids=tuple(spec.id for spec in specs))
            return await self._enqueue(self._command(agent, specs, record, guarded=guarded, batch=batch))
        except errors.ServiceError:
            known = await self._store.execute(self._command(agent, (), record)) if record is not None else None
            if known is None or not known.turns:
                raise
            return known

    def _check_open(self) -> None:
        if not self._accepts():
            raise errors.Draining("The service is shutting down. Try again shortly.", headers={"Retry-After": "2"})

    def _command(
        self,
        agent: str,
        specs: tuple[TurnSpec, ...],
        record: KeyRecord | None,
        *,
        origin: Origin | None = None,
        guarded: bool = False,
        batch: bool = False,
    ) -> Enqueue:
        return Enqueue(agent, specs, self._mailbox_limit, record, origin, None, guarded, self._code_agents, batch)

    async def retry(
        self, agent: str, turn_id: str, *, caller: str = "", key: str | None = None, asker: Asker | None = None
    ) -> Enqueued:
        """Accept an ended turn once more, as a new one that names it. Raises as submit, TurnNotFound, TurnNotEnded."""
        placed = await self._store.get_turn(turn_id, agent)
        if placed is None:
            raise errors.TurnNotFound(f"Agent {agent!r} has no turn {turn_id!r}.")
        if not placed.turn.ended:
            raise errors.TurnNotEnded(f"The turn is {placed.turn.status}. Cancel it first, or wait for its end.")
        digest = hashlib.sha256(f"retry {turn_id}".encode()).digest()
        again = [repeated(placed.turn.spec)]
        return await self.submit(agent, again, caller=caller, key=key, digest=digest, asker=asker)

    async def send(
        self,
        agent: str,
        request: TurnRequest,
        *,
        lineage: Lineage,
        origin: Origin,
        occurrence: str,
        guarded: bool = False,
    ) -> Enqueued:
        """Accept a turn from a running one: fenced by it, and once however often it is sent again by a re-run.

        ``occurrence`` names this message among those of the turn. Raises as ``submit`` does, HopLimit, and Fenced
        when the sending turn has ended or was cancelled.
        """
        if lineage.hops > self._max_hops:
            raise errors.HopLimit(f"The chain of sends is longer than {self._max_hops} hops; it looks like a loop.")
        spec = await self._spec(agent, request, lineage)
        record = KeyRecord(agent, f"turn:{origin.turn.id}", occurrence, b"", (spec.id,))
        return await self._enqueue(self._command(agent, (spec,), record, origin=origin, guarded=guarded))

    async def returned(self, agent: str, request: TurnRequest, lineage: Lineage) -> TurnSpec:
        """The spec of a turn that a tool returned; the turn's end enqueues it. Raises InvalidArguments."""
        return await self._spec(agent, request, lineage)

    async def cancel(
        self,
        agent: str,
        turn_id: str,
        *,
        by: str,
        reason: str | None,
        cascade: Cascade | None = None,
        entry: Entry | None = None,
    ) -> Cancelled:
        """Cancel a turn, with ``cascade`` also those that came of it, and of those in turn, whatever became of itself.
        Those that the caller may not cancel are passed over, and what came of them is not.

        What is cancelled sends nothing more, not even while it stops. Raises AgentNotFound, TurnNotFound, and TurnEnded
        if nothing is cancelled.
        """
        request = CancelRequest(by, reason)
        try:
            cancelled = await self._store.execute(audited(Cancel(agent, turn_id, request), entry))
        except errors.TurnEnded as ended:
            if cascade is None or not await self._cancel_descendants(TurnRef(agent, turn_id), request, cascade):
                raise
            if entry is not None:
                await self._store.execute(LogEntry(entry))
            return Cancelled(ended.fields["turn"], asked=False)
        if cascade is not None:
            await self._cancel_descendants(TurnRef(agent, turn_id), request, cascade)
        return cancelled

    async def _cancel_descendants(self, root: TurnRef, request: CancelRequest, cascade: Cascade) -> int:
        """How many are cancelled. Parents first: one that is cancelled sends nothing more that is not seen here."""
        told, parents, count = {root}, [root], 0
        while parents:
            children = [child for parent in parents for child in await self._store.list_children(parent.id)]
            parents = [child for child in dict.fromkeys(children) if child not in told]
            told.update(parents)
            cancels = (
                self._store.execute(audited(Cancel(child.agent, child.id, request), cascade.entry(child)))
                for child in parents
                if cascade.may(child.agent)
            )
            answers = await asyncio.gather(*cancels, return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException) and not isinstance(answer, OVER):
                    raise answer
            count += sum(isinstance(answer, Cancelled) for answer in answers)
        return count

    # --- checks ------------------------------------------------------------------------------------------------------

    async def _specs(self, agent: str, requests: Sequence[TurnRequest], asker: Asker | None) -> tuple[TurnSpec, ...]:
        """Of an array: every turn that is refused is told, not the first one only."""
        specs: list[TurnSpec] = []
        refused: dict[str, errors.InvalidRequest] = {}
        for index, request in enumerate(requests):
            if index % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            try:
                specs.append(await self._spec(agent, request, asker=asker))
            except errors.InvalidRequest as refusal:
                refused[f"/{index}"] = refusal
                await asyncio.sleep(0)  # one that is refused takes far longer
        if refused:
            raise errors.InvalidRequest.of_parts(refused)
        return tuple(specs)

    async def _spec(
        self, agent: str, request: TurnRequest, lineage: Lineage | None = None, *, asker: Asker | None = None
    ) -> TurnSpec:
        tool = self._catalogue.tool(request.tool)
        if tool is None:
            raise await self._unknown_tool(agent, request.tool)
        try:
            args, kwargs = decode_arguments(request.args, request.kwargs)
            tool.schema.validate(args, kwargs)
        except (ArgumentsError, UnregisteredDynamicError) as error:
            raise _invalid_arguments(request.tool, error) from error
        turn_id = new_id()
        return TurnSpec(
            id=turn_id,
            agent=agent,
            tool=request.tool,
            args=encode(request.args),
            kwargs=encode(request.kwargs),
            metadata=encode(request.metadata),
            timeout=request.timeout,
            not_before=request.not_before,
            parent=lineage.parent if lineage else None,
            root=lineage.root if lineage else turn_id,
            hops=lineage.hops if lineage else 0,
            retry=request.retry or tool.retry,
            retry_of=request.retry_of,
            trace=self._carried(),
            asker=lineage.asker if lineage else asker,
        )

    async def _unknown_tool(self, agent: str, tool: str) -> errors.ServiceError:
        """An agent that does not exist outweighs a tool that does not."""
        listed = await self._store.get_agent(agent)
        if listed is None:
            return errors.AgentNotFound(f"There is no agent named {agent!r}. GET /agents lists those that exist.")
        accepted = ", ".join(listed.head.definition.tools) or "none"
        return errors.ToolNotAccepted(
            f"Agent {agent!r} does not accept tool {tool!r}. It accepts: {accepted}.",
            errors=[{"pointer": "/tool", "detail": "not a tool that is registered here"}],
        )

    async def _enqueue(self, command: Enqueue) -> Enqueued:
        """Most agents have no put hooks; those that have refuse a turn for which nobody cares for them."""
        try:
            with self._starting() as starter:
                return await self._store.execute(replace(command, starter=starter))
        except GuardNeeded as needed:
            return await self._enqueue_guarded(command, needed.definition)

    async def _enqueue_guarded(self, command: Enqueue, definition: Definition) -> Enqueued:
        turns = [core_turn(spec) for spec in command.specs]
        for turn in turns:
            await self._guard.before(definition, turn)
        accepted = await self._enqueue(replace(command, guarded=True))
        if not accepted.replayed:  # else a twin of the same key was first, and has told them
            for turn in turns:
                await self._guard.after(definition, turn)
        return accepted


def _invalid_arguments(tool: str, error: ArgumentsError | UnregisteredDynamicError) -> errors.InvalidArguments:
    if isinstance(error, ArgumentsError):
        found = [{"pointer": pointer(each["loc"]), "detail": each["msg"]} for each in error.errors]
    else:
        found = [{"pointer": "", "detail": str(error.args[0])}]
    return errors.InvalidArguments(
        f"The arguments do not fit tool {tool!r}. GET /tools/{tool} has its schema.", errors=found
    )
