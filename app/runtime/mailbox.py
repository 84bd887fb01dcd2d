"""The durable mailbox behind ``Agent.put`` and ``Agent.send_turn``: a message is committed before they return.

A message of a running turn carries the turn's fence, parent, root and hops; one from outside any turn does not.
"""

import hashlib
from collections.abc import Mapping
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from pygents_core import errors as core_errors
from pygents_core.turn import Turn as CoreTurn

from .. import errors
from ..clock import Clock
from ..commands import Origin
from ..model import Begun, TurnRef
from ..tracing.port import Tracing
from .requests import Lineage, TurnRequest
from .submission import Submission
from .translation import due_time, request_of

LIBRARY_ERRORS: Mapping[type[errors.ServiceError], type[Exception]] = {
    errors.AgentNotFound: core_errors.UnregisteredAgentError,
    errors.AgentGone: core_errors.UnregisteredAgentError,
    errors.ToolNotAccepted: ValueError,
    errors.SubmitRejected: ValueError,
    errors.MailboxFull: core_errors.MailboxFullError,
    errors.HopLimit: core_errors.HopLimitError,
    errors.Fenced: core_errors.NotRunningError,
}


Due = tuple[float | None, datetime | None]
"""``delay`` in seconds, or ``not_before``."""


class Sender:
    """The running turn as a sender. It counts equal messages, so that each has a name that a re-run gives it again."""

    def __init__(self, begun: Begun) -> None:
        spec = begun.turn.spec
        self.ref = TurnRef(spec.agent, spec.id)
        self.origin = Origin(self.ref, begun.fence)
        self._root, self._hops, self._asker = spec.root or spec.id, spec.hops, spec.asker
        self._occurrences: dict[str, int] = {}

    def lineage(self, *, hop: bool) -> Lineage:
        return Lineage(self.ref, self._root, self._hops + hop, self._asker)

    def occurrence(self, agent: str, request: TurnRequest, due: Due) -> str:
        """``due`` as the tool said it: the moment that a delay leads to is another one in each attempt."""
        said = repr((agent, request._replace(not_before=None), due))
        content = hashlib.sha256(said.encode(errors="backslashreplace")).hexdigest()
        self._occurrences[content] = count = self._occurrences.get(content, 0) + 1
        return f"{agent}:{content}:{count}"


running_sender: ContextVar[Sender | None] = ContextVar("running_sender", default=None)
"""The turn in whose execution this code runs, also in the asyncio tasks that its tool has started."""


class DurableMailbox:
    """``pygents_core``'s Mailbox port over the store, for the agent ``name``."""

    def __init__(self, name: str, *, submission: Submission, clock: Clock, tracing: Tracing | None = None) -> None:
        self._name, self._submission, self._clock, self._tracing = name, submission, clock, tracing

    async def put(
        self, turn: CoreTurn[Any], *, delay: float | None = None, not_before: datetime | None = None
    ) -> None:  # fmt: skip
        """Own mailbox: the hop count stays, because no other agent is involved."""
        await self._deliver(self._name, turn, (delay, not_before), hop=False)

    async def send(
        self, agent_name: str, turn: CoreTurn[Any], *, delay: float | None = None, not_before: datetime | None = None
    ) -> None:
        """Raises UnregisteredAgentError, ValueError (not accepted), ArgumentsError, MailboxFullError, HopLimitError."""
        await self._deliver(agent_name, turn, (delay, not_before), hop=True)

    async def _deliver(self, agent: str, turn: CoreTurn[Any], due: Due, *, hop: bool) -> None:
        request = request_of(turn, due_time(self._clock, *due))
        try:
            with self._tracing.sending(agent, request.tool) if self._tracing is not None else nullcontext():
                await self._hand_over(agent, request, due, hop=hop)
        except errors.ServiceError as error:
            raise as_library_error(error, request.tool) from error

    async def _hand_over(self, agent: str, request: TurnRequest, due: Due, *, hop: bool) -> None:
        sender = running_sender.get()
        if sender is None:
            await self._submission.submit(agent, [request], guarded=not hop)
            return
        await self._submission.send(
            agent,
            request,
            lineage=sender.lineage(hop=hop),
            origin=sender.origin,
            occurrence=sender.occurrence(agent, request, due),
            guarded=not hop,
        )


def as_library_error(error: errors.ServiceError, tool: str) -> Exception:
    """What a tool sees is the library's: the same code runs in memory."""
    if isinstance(error, errors.InvalidArguments):
        return core_errors.ArgumentsError(tool, [_detail(each) for each in error.fields["errors"]])
    library = LIBRARY_ERRORS.get(type(error))
    return library(error.detail) if library is not None else error


def _detail(each: Mapping[str, str]) -> core_errors.ErrorDetail:
    return {"loc": tuple(each["pointer"].split("/")[1:]), "msg": each["detail"]}
