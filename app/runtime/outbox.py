"""The values of one running turn on their way to the log: few transactions, bounded memory, order kept.

Values that arrive within one tick of the loop, or while a commit is under way, travel in one command. Only one command
is under way at a time, so that a value is never committed before one that was yielded earlier.
"""

import asyncio
from collections.abc import Callable

from .. import failpoints
from ..commands import Append, Appended
from ..errors import StoreFull, Unavailable
from ..model import Begun
from ..ports import Store

PENDING_VALUES = 256
PENDING_BYTES = 256 * 1024
"""A tool that yields faster than the store commits waits here; otherwise it would fill the memory."""

RETRY_SECONDS = 0.5
"""How long a refused commit waits for the store to have space again."""


class Outbox:
    """``lost`` is called once if a value cannot be logged: another owner has the agent, or the store is broken.

    ``failure`` is then the reason. A store that has no space, or does not answer for now, is asked again and again.
    """

    def __init__(self, begun: Begun, *, store: Store, lost: Callable[[], object]) -> None:
        self._begun, self._store, self._lost = begun, store, lost
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._flying: tuple[bytes, ...] = ()
        self._settled: asyncio.Future[None] | None = None
        self._closed = False
        self.failure: BaseException | None = None
        self._then: Callable[[tuple[bytes, ...]], None] | None = None

    async def put(self, value: bytes) -> None:
        """Take a value; waits while too much is pending. After ``close`` or a failure it is dropped."""
        if self._closed:
            return
        self._pending.append(value)
        self._size += len(value)
        self._schedule()
        while self._is_full():
            await self._settle()

    def close(self, then: Callable[[tuple[bytes, ...]], None]) -> None:
        """Call ``then`` with the values that are left, once no command is under way: they go with the turn's end."""
        self._closed = True
        self._wake()
        if self._flying:
            self._then = then
            return
        left, self._pending, self._size = tuple(self._pending), [], 0
        then(left)

    def _is_full(self) -> bool:
        """Not once it is closed: code that nobody listens to any more must be able to end."""
        return not self._closed and (self._size > PENDING_BYTES or len(self._pending) > PENDING_VALUES)

    # --- one command at a time ---------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not (self._scheduled or self._flying or self._closed):
            self._scheduled = True
            # Two steps, so that the end of code that ends right after a value still travels with it: one commit.
            self._loop.call_soon(self._loop.call_soon, self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._closed or self._flying or not self._pending:
            return
        if failpoints.ARMED:
            failpoints.hit("before-append")
        self._flying, self._pending, self._size = tuple(self._pending), [], 0
        self._commit()

    def _commit(self) -> None:
        turn = self._begun.turn
        command = Append(turn.spec.agent, turn.id, self._begun.fence, self._flying, turn.attempt)
        self._store.execute(command).add_done_callback(self._committed)

    def _committed(self, future: asyncio.Future[Appended]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, StoreFull | Unavailable):
            self._loop.call_later(RETRY_SECONDS, self._commit)
            return
        self._flying = ()
        if error is not None:
            self._give_up(error)
        self._wake()
        if self._then is not None:
            self.close(self._then)
        elif self._pending:
            self._schedule()

    def _give_up(self, error: BaseException) -> None:
        """What was yielded cannot be logged, so nothing after it may be: the code is told to stop."""
        self.failure = error
        self._closed = True
        self._pending, self._size = [], 0
        self._lost()

    def _wake(self) -> None:
        if self._settled is not None:
            self._settled.set_result(None)
            self._settled = None

    async def _settle(self) -> None:
        if self._settled is None:
            self._settled = self._loop.create_future()
        await asyncio.shield(self._settled)
