"""What a begun turn writes: its values, its one end, and the release of an agent whose code stopped late.

Nothing here is a task: the end is carried by callbacks of the store's futures, which no cancellation reaches.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from .. import payloads
from ..commands import Finish, Finished, Release
from ..errors import Fenced, StoreFull, Unavailable
from ..model import Begun, Outcome, Turn, TurnSpec, TurnStatus
from ..ports import Store
from .capacity import Capacity
from .marks import about_turn
from .outbox import RETRY_SECONDS, Outbox

log = logging.getLogger("pygents.scribe")

REPEAT_SECONDS = 5.0
"""How long to wait before an end that the store refused for no good reason is tried again, bare."""

NOT_STORED = Outcome(
    TurnStatus.ERROR, error=payloads.error("not_stored", "The store could not take what the turn had to say.")
)


class Ending(NamedTuple):
    """How a turn ends, and what is committed with it if it is completed."""

    outcome: Outcome
    memory: bytes | None = None
    returned: TurnSpec | None = None


class Scribe:
    """Writes for one begun turn, on the loop that constructs it. ``mailbox_limit`` counts turns.

    ``lost`` is called if another owner has the agent; ``ended`` once, when nothing is left to write, with the turn as
    its end was stored, or None if its end was not accepted.
    """

    def __init__(
        self,
        begun: Begun,
        *,
        store: Store,
        capacity: Capacity,
        mailbox_limit: int,
        lost: Callable[[], object],
        ended: Callable[[Turn | None], None],
    ) -> None:
        self._begun, self._store, self._capacity = begun, store, capacity
        self._mailbox_limit, self._ended = mailbox_limit, ended
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(begun, store=store, lost=lost)
        self._released: Release | None = None
        self._held = False
        self._turn: Turn | None = None
        self.has_ended = False
        """Whether the turn's end is written, or was not accepted."""

    async def value(self, encoded: bytes) -> None:
        """Log a value, together with others; waits while too many are pending."""
        await self._outbox.put(encoded)

    def finish(self, ending: Ending) -> None:
        """Write the end after the values that are under way, and begin the next turn."""
        self._outbox.close(lambda values: self._execute(self._finish(self._honest(ending), values)))

    def abandon(self, ending: Ending) -> None:
        """Write the end although the code has not stopped; the agent stays owned until ``release``."""
        self._held = True
        self._outbox.close(lambda values: self._execute(replace(self._finish(self._honest(ending), values), hold=True)))

    def release(self) -> None:
        """The code of an abandoned turn has stopped: the mailbox goes on once the end is written."""
        self._released = self._release()
        if not self._held:
            self._execute(self._released)

    def _release(self) -> Release:
        return Release(self._begun.turn.spec.agent, self._begun.fence, self._capacity.following())

    def _honest(self, ending: Ending) -> Ending:
        """A turn some of whose values could not be logged is not what its code thinks it is."""
        return Ending(NOT_STORED) if self._outbox.failure is not None else ending

    def _finish(self, ending: Ending, values: tuple[bytes, ...]) -> Finish:
        spec = self._begun.turn.spec
        return Finish(
            agent=spec.agent,
            turn_id=spec.id,
            attempt=self._begun.turn.attempt,
            fence=self._begun.fence,
            outcome=ending.outcome,
            values=values,
            memory=ending.memory,
            returned=ending.returned,
            mailbox_limit=self._mailbox_limit,
            starter=self._capacity.following(),
        )

    def _execute(self, command: Finish | Release) -> None:
        future: asyncio.Future[Any] = self._store.execute(command)
        future.add_done_callback(lambda done: self._answered(command, done))

    def _answered(self, command: Finish | Release, done: "asyncio.Future[Any]") -> None:
        """Retry for as long as the store has no space: an end that was reached must not be lost."""
        error = None if done.cancelled() else done.exception()
        if isinstance(error, StoreFull | Unavailable):
            self._loop.call_later(RETRY_SECONDS, self._execute, command)
        elif error is not None and not isinstance(error, Fenced):
            log.error("the end of %s cannot be stored as it is: %r", self._begun.turn.ref, error, extra=self._about())
            self._loop.call_later(REPEAT_SECONDS, self._execute, _bare(command))
        elif error is not None and isinstance(command, Finish) and not command.hold:
            # A deleted agent stays owned until its code has stopped. If it has another owner, this changes nothing.
            log.debug(
                "%s: its end was not accepted, the agent was deleted or has another owner",
                self._begun.turn.ref,
                extra=self._about(),
            )
            self._execute(self._release())
        else:
            self._written(command, done.result() if error is None and not done.cancelled() else None)

    def _about(self) -> Mapping[str, object]:
        return about_turn(self._begun.turn)

    def _written(self, command: Finish | Release, reply: object) -> None:
        self.has_ended = True
        if isinstance(reply, Finished):
            self._turn = reply.turn
        if isinstance(command, Release) or not command.hold:
            self._ended(self._turn)
            return
        self._held = False
        if self._released is not None:
            self._execute(self._released)


def _bare(command: Finish | Release) -> Finish | Release:
    """The end without anything that could be what the store chokes on."""
    if isinstance(command, Release):
        return command
    return replace(command, outcome=NOT_STORED, values=(), memory=None, returned=None)
