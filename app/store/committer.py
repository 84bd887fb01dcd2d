"""Group commit: one thread that commits together whatever commands wait, from all event loops.

The way of a command: ``execute`` puts it on the list of its loop; once per tick the loop hands the list over; the
thread takes all lists that wait, commits them as one batch, tells the listeners, and answers each loop with one call.
While a commit waits for the disk the next batch gathers, so that an fsync per commit costs little under load.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from .. import failpoints
from ..commands import Command, Reply
from ..draft import Decision
from ..errors import Unavailable
from ..ports import Listener, Notice
from .notices import notice_of
from .script import Answer

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BATCH = 512
"""Commands. No further hand-over is taken into a batch that has this many: the first of a batch waits for its last."""


class _Request(NamedTuple):
    command: Command
    answer: "asyncio.Future[Reply]"


class _Call(NamedTuple):
    """Something else to do on the thread, between two batches."""

    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"


class _HandOver(NamedTuple):
    """What one loop asked for in one tick."""

    loop: asyncio.AbstractEventLoop
    requests: list[_Request]


class _Lane(threading.local):
    """The requests of the running tick of this thread's loop; another loop on the same thread starts a new list."""

    loop: asyncio.AbstractEventLoop | None = None
    requests: list[_Request] = []  # noqa: RUF012 - never appended to: the first request of a tick brings its own


class Committer:
    """Executes commands from any event loop on one thread of its own.

    ``apply`` commits a batch and answers each of its commands; it is called on the thread only and must not raise.
    """

    def __init__(self, *, apply: Callable[[Sequence[Command]], list[Answer]], name: str = "committer") -> None:
        self._apply = apply
        self._lane = _Lane()
        self._queue: SimpleQueue[_HandOver | _Call | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._since: float | None = None
        self._listeners: tuple[Listener, ...] = ()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name=name)
        self._thread.start()

    def execute(self, command: Command) -> "asyncio.Future[Reply]":
        """Answer once the command's batch is committed. Cancelling the future does not take the command back.

        Commands of one loop are decided in the order of their calls.
        """
        loop = asyncio.get_running_loop()
        request = _Request(command, loop.create_future())
        lane = self._lane
        if lane.loop is loop and lane.requests:
            lane.requests.append(request)
        else:
            lane.loop, lane.requests = loop, [request]
            loop.call_soon(self._hand_over, loop)
        return request.answer

    async def call(self, work: Callable[[], T]) -> T:
        """Do ``work`` on the thread, between two batches; what it returns or raises, this does."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._put(_Call(work, loop, answer))
        return await answer

    @property
    def pending_seconds(self) -> float:
        """How long what the thread is at has taken till now; 0 while it waits. On any thread."""
        since = self._since
        return monotonic() - since if since is not None else 0.0

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` on the thread with what each commit wrote, before its callers are answered."""
        with self._gate:
            self._listeners = (*self._listeners, listener)
        return lambda: self._forget(listener)

    async def close(self) -> None:
        """Commit what was handed over, then end the thread. What comes later is refused with ``Unavailable``."""
        if self._lane.loop is asyncio.get_running_loop():
            self._hand_over(self._lane.loop)
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        await asyncio.shield(asyncio.wrap_future(self._ended))
        self._thread.join()

    # --- on the callers' loops ---------------------------------------------------------------------------------------

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        lane = self._lane
        if lane.loop is not loop or not lane.requests:
            return
        requests, lane.requests = lane.requests, []
        try:
            self._put(_HandOver(loop, requests))
        except Unavailable as refusal:
            _resolve([(request.answer, refusal) for request in requests])

    def _put(self, item: _HandOver | _Call) -> None:
        with self._gate:
            if self._closed:
                raise Unavailable("The store is closed. Try again once the service is back.")
            self._queue.put(item)

    def _forget(self, listener: Listener) -> None:
        with self._gate:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

    # --- on the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        open_ = True
        while open_:
            batch, calls, open_ = self._take()
            self._since = monotonic()
            if batch:
                self._commit(batch)
            for call in calls:
                _do(call)
            self._since = None
        self._ended.set_result(None)

    def _take(self) -> tuple[list[_HandOver], list[_Call], bool]:
        """Wait for something to do, then take all that is there, up to a bound; False after the last."""
        batch: list[_HandOver] = []
        calls: list[_Call] = []
        item = self._queue.get()
        size = 0
        try:
            while True:
                match item:
                    case None:
                        return batch, calls, False
                    case _Call():
                        calls.append(item)
                    case _HandOver():
                        batch.append(item)
                        size += len(item.requests)
                if size >= MAX_BATCH:
                    return batch, calls, True
                item = self._queue.get_nowait()
        except Empty:
            return batch, calls, True

    def _commit(self, batch: list[_HandOver]) -> None:
        commands = [request.command for part in batch for request in part.requests]
        answers = self._answers(commands)
        notice = notice_of([answer for answer in answers if isinstance(answer, Decision)])
        if notice is not None:
            if failpoints.ARMED and notice.ended:
                failpoints.hit("after-end-before-wake")
            self._tell(notice)
        if failpoints.ARMED:
            failpoints.hit("after-commit-before-answer")
        replies: dict[asyncio.AbstractEventLoop, list[_Reply]] = {}
        answered = iter(answers)
        for part in batch:
            pairs = replies.setdefault(part.loop, [])
            pairs += [(request.answer, _reply(next(answered))) for request in part.requests]
        for loop, pairs in replies.items():
            _call_loop(loop, _resolve, pairs)

    def _answers(self, commands: Sequence[Command]) -> list[Answer]:
        try:
            return self._apply(commands)
        except Exception as defect:  # the thread must live on, and whoever waits must hear something
            log.exception("a batch of %d commands failed", len(commands))
            return [defect] * len(commands)

    def _tell(self, notice: Notice) -> None:
        for listener in self._listeners:
            try:
                listener(notice)
            except Exception:
                log.exception("a listener of the store failed")


_Reply = tuple["asyncio.Future[Reply]", Reply | Exception]


def _reply(answer: Answer) -> Reply | Exception:
    return answer.reply if isinstance(answer, Decision) else answer


def _do(call: _Call) -> None:
    try:
        result = call.work()
    except Exception as error:
        result = error
    _call_loop(call.loop, _resolve, [(call.answer, result)])


def _call_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[Any], None], argument: object) -> None:
    try:
        loop.call_soon_threadsafe(callback, argument)
    except RuntimeError:  # the loop is closed: nobody waits there any more
        log.debug("a loop was closed before its answers came")


def _resolve(pairs: Sequence[tuple["asyncio.Future[Any]", object]]) -> None:
    for future, result in pairs:
        if future.done():  # its caller was cancelled; the command is committed all the same
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
