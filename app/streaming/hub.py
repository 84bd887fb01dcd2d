"""Fan-out on the HTTP loop: commits come in from the committer's thread, subscriptions go on from their cursors.

One call into the loop per batch of commits, one timer for all streams. An agent that nobody watches costs nothing.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, suppress

from ..auth import UNHELD, Held
from ..model import EventType
from ..ports import Listener, Notice, Reads
from ..telemetry import Emit, Refused, silent
from .endings import Ending, Endings, Heard
from .holders import Holders
from .places import Places
from .ring import PROCESS_BYTES, Rings
from .subscription import EVERYTHING, PATIENCE, Connection, Patience, Send, Subscription, Wanted, farewell
from .watch import Reader, Watch

Listen = Callable[[Listener], Callable[[], None]]
"""``Store.listen``."""

OPENING_RETRY = (1000, 3000)
"""Milliseconds after which clients come back when the connection breaks: not all at the same moment."""

LONGEST_TICK = 1.0

logger = logging.getLogger(__name__)


class Hub:
    """Construct it anywhere, ``start`` it on the HTTP loop, and use it only there.

    ``look`` is the time in seconds after which each watched agent's row is read, in case a hint was lost. ``places``
    bounds the streams; None: there may be any number.
    """

    def __init__(
        self,
        *,
        reads: Reads,
        listen: Listen,
        patience: Patience = PATIENCE,
        look: float = 15.0,
        ring_bytes: int = PROCESS_BYTES,
        places: Places | None = None,
        emit: Emit = silent,
    ) -> None:
        self.draining = False
        self._reads, self._emit = reads, emit
        self._listen = listen
        self._patience = patience
        self._look = look
        self._rings = Rings(ring_bytes)
        self._endings = Endings()
        self._holders = Holders()
        self._places = places or Places()
        self._watches: dict[str, Watch] = {}
        self._inbox: deque[Notice] = deque()
        self._called = False
        self._unlisten: Callable[[], None] | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked = 0.0
        self._nobody = asyncio.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._looked = loop.time()
        self._unlisten = self._listen(self._hear)
        self._tick()

    async def drain(self, within: float = 1.0) -> None:
        """End all streams cleanly, telling clients to come back; cut those that are not through ``within`` seconds.

        Streams that are opened from now on end at once in the same way; nobody waits for the end of a turn any more.
        """
        self.draining = True
        self._endings.release()
        for reader in self._readers():
            reader.farewell(farewell("draining"))
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.streams:
                    self._nobody.clear()
                    await self._nobody.wait()
        for reader in self._readers():
            reader.abort()

    async def close(self) -> None:
        """Hear nothing more and cut what is still open. May be called without ``start`` and more than once."""
        self.draining = True
        self._endings.release()
        if self._unlisten is not None:
            self._unlisten()
        if self._ticking is not None:
            self._ticking.cancel()
        for reader in self._readers():
            reader.abort()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return sum(len(watch.readers) for watch in self._watches.values())

    @property
    def behind(self) -> int:
        """How many events the stream that is furthest behind has still to send."""
        return max((reader.behind for reader in self._readers()), default=0)

    def busy(self, caller: str) -> bool:
        """Whether there are too many streams for one more of this caller. It is told to whoever counts refusals."""
        if self._places.is_free(caller):
            return False
        self._emit(Refused("streams"))
        return True

    def watch(self, agent: str) -> Watch:
        """Take note of an agent's commits from now on; each call needs its ``leave``."""
        watch = self._watches.get(agent)
        if watch is None:
            watch = self._watches[agent] = Watch(agent=agent, reads=self._reads, rings=self._rings, emit=self._emit)
        watch.holders += 1
        return watch

    def leave(self, watch: Watch) -> None:
        watch.holders -= 1
        if not watch.holders:
            del self._watches[watch.agent]
            watch.close()

    def join(
        self,
        watch: Watch,
        *,
        cursor: int,
        send: Send,
        connection: Connection,
        turn_id: str | None = None,
        types: Collection[EventType] | None = None,
        held: Held = UNHELD,
    ) -> Subscription:
        """Send the events after ``cursor`` from now on: all, or one turn's up to its end, or only some types.

        The response must have been started. ``connection`` is the server's side of it. Each call needs its ``part``,
        with the same ``held``: by which key the stream is, and ends with it.
        """
        wanted = EVERYTHING if turn_id is None and types is None else Wanted(turn_id, types)
        subscription = Subscription(
            watch=watch, cursor=cursor, wanted=wanted, send=send, connection=connection, patience=self._patience,
            caller=held.caller,
        )  # fmt: skip
        watch.readers.add(subscription)
        if self.draining:
            subscription.farewell(farewell("draining"))
        elif self.busy(held.caller):  # others were opened since it was asked
            subscription.farewell(farewell("busy"))
        self._places.enter(held.caller)
        self._holders.enter(held, subscription)
        subscription.wake()
        return subscription

    def part(self, watch: Watch, subscription: Subscription, held: Held = UNHELD) -> None:
        subscription.close()
        self._holders.leave(held, subscription)
        self._places.leave(held.caller)
        watch.readers.discard(subscription)
        if self.draining:
            self._nobody.set()

    def end(self, key: str) -> None:
        """The key of that id is void from now on: its streams end."""
        self._holders.end(key)

    def hearing(self) -> AbstractContextManager[Heard]:
        """Every end that is heard of meanwhile: for ``ending`` with a turn whose id is not known yet."""
        return self._endings.hearing()

    def ending(self, turn_id: str, heard: Heard | None = None) -> AbstractContextManager[Ending]:
        """A future of the turn as it ended; of None if its end was heard before, or the service drains first: a hint.

        Enter it, then read the turn, then wait for the future as long as you like, then read the turn again.
        """
        if self.draining:
            asyncio.get_running_loop().call_soon(self._endings.release)
        return self._endings.waiting(turn_id, heard)

    def _readers(self) -> Iterator[Reader]:
        for watch in tuple(self._watches.values()):
            yield from tuple(watch.readers)

    # --- news -------------------------------------------------------------------------------------------------------

    def _hear(self, notice: Notice) -> None:
        """On the committer's thread. What comes before the loop has got round to it shares one call."""
        if not self._watches and not len(self._endings):
            return  # whoever registers later reads the store later, and finds it there
        self._inbox.append(notice)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop is closed: nobody is left to hear
                self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._called = False  # first, so that what arrives from here on makes a call of its own
        news: dict[Watch, None] = {}
        while self._inbox:
            notice = self._inbox.popleft()
            for event in notice.events:
                if (watch := self._watches.get(event.agent)) is not None:
                    watch.hear(event)
                    news[watch] = None
            if notice.ended:
                self._endings.ended(notice.ended)
        for watch in news:
            watch.wake()

    # --- time -------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._loop.time()
        for reader in self._readers():
            reader.tick(now)
        self._holders.look()
        if now - self._looked >= self._look and (self._looking is None or self._looking.done()):
            self._looked = now
            if self._watches:
                self._looking = self._loop.create_task(self._look_after())
        pause = min(LONGEST_TICK, self._patience.ping / 4, self._patience.send / 4, self._look / 4)
        self._ticking = self._loop.call_later(pause, self._tick)

    async def _look_after(self) -> None:
        """Hints may be lost; this is what then limits the delay."""
        for watch in tuple(self._watches.values()):
            try:
                listed = await self._reads.get_agent(watch.agent)
            except Exception as error:
                logger.warning("the log of %s cannot be looked at: %r", watch.agent, error)
                return
            if listed is None:
                await self._look_at_end(watch)
            else:
                watch.reaches(listed.head.latest)
                watch.wake()

    async def _look_at_end(self, watch: Watch) -> None:
        """The agent was deleted: who is behind goes on to the end of its log, unless that was removed by now."""
        watch.gone()
        if news := await self._reads.read_events(watch.agent, watch.latest, 1):
            watch.reaches(news[-1].seq)
        elif not await self._reads.read_events(watch.agent, 0, 1):
            for reader in tuple(watch.readers):
                reader.farewell(farewell("unavailable"))
        watch.wake()


def opening_retry() -> int:
    return random.randint(*OPENING_RETRY)
