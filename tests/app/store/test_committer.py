"""Group commit: what goes together, who is answered when, and what the thread survives."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pygents_app.commands import AgentReply, Command, Pause
from pygents_app.draft import Decision
from pygents_app.errors import AgentNotFound, Unavailable
from pygents_app.model import Definition, Head
from pygents_app.ports import Notice
from pygents_app.store.committer import MAX_BATCH, Committer
from pygents_app.store.script import Answer
from tests.helpers import eventually

pytestmark = pytest.mark.anyio


def reply_to(command: Command) -> AgentReply:
    return AgentReply(Head(Definition(command.agent), 0, 0))


@dataclass(slots=True)
class Apply:
    """In place of an engine: notes the batches; ``gate`` holds a commit up, ``answer`` decides."""

    answer: Callable[[Command], Answer] = lambda command: Decision(reply_to(command), reply_to(command).head)
    batches: list[list[str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def __call__(self, commands: Sequence[Command]) -> list[Answer]:
        self.batches.append([command.agent for command in commands])
        assert self.gate.wait(10)
        return [self.answer(command) for command in commands]


@pytest.fixture
def apply() -> Apply:
    return Apply()


@pytest.fixture
async def committer(apply: Apply) -> AsyncIterator[Committer]:
    made = Committer(apply=apply)
    yield made
    apply.gate.set()
    await made.close()


class TestBatches:
    async def test_one_tick_is_one_batch(self, committer: Committer, apply: Apply) -> None:
        await asyncio.gather(*(committer.execute(Pause(name)) for name in "abc"))
        assert apply.batches == [["a", "b", "c"]]

    async def test_what_waits_while_a_commit_runs_goes_together(self, committer: Committer, apply: Apply) -> None:
        apply.gate.clear()
        first = committer.execute(Pause("a"))
        await eventually(lambda: apply.batches)
        later = []
        for name in "bcd":
            later.append(committer.execute(Pause(name)))
            await asyncio.sleep(0)  # a tick of its own for each
            await asyncio.sleep(0)
        apply.gate.set()
        await asyncio.gather(first, *later)
        assert apply.batches == [["a"], ["b", "c", "d"]]

    async def test_a_batch_is_bounded(self, committer: Committer, apply: Apply) -> None:
        apply.gate.clear()
        first = committer.execute(Pause("a"))
        await eventually(lambda: apply.batches)
        parts = []
        for _ in range(3):
            parts += [committer.execute(Pause("b")) for _ in range(MAX_BATCH // 2)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        apply.gate.set()
        await asyncio.gather(first, *parts)
        assert [len(batch) for batch in apply.batches] == [1, MAX_BATCH, MAX_BATCH // 2]

    async def test_each_caller_gets_its_own_answer(self, committer: Committer, apply: Apply) -> None:
        refusal = AgentNotFound("no b")
        apply.answer = lambda command: refusal if command.agent == "b" else Decision(reply_to(command))
        answers = await asyncio.gather(*(committer.execute(Pause(name)) for name in "abc"), return_exceptions=True)
        assert answers == [reply_to(Pause("a")), refusal, reply_to(Pause("c"))]

    async def test_a_loop_is_answered_with_one_call(
        self, committer: Committer, apply: Apply, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()
        calls: list[object] = []
        real = loop.call_soon_threadsafe

        def counted(callback: Callable[..., Any], *arguments: Any) -> asyncio.Handle:
            calls.append(callback)
            return real(callback, *arguments)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        await asyncio.gather(*(committer.execute(Pause("a")) for _ in range(50)))
        assert len(apply.batches) == len(calls) == 1

    async def test_how_long_it_takes_is_known_while_it_does(self, committer: Committer, apply: Apply) -> None:
        assert committer.pending_seconds == 0
        apply.gate.clear()
        waiting = committer.execute(Pause("a"))
        await eventually(lambda: committer.pending_seconds > 0.05)
        apply.gate.set()
        await waiting
        await eventually(lambda: committer.pending_seconds == 0)


class TestListeners:
    async def test_one_notice_for_a_batch_before_its_answers(self, committer: Committer) -> None:
        told: list[Notice] = []
        done: list[bool] = []
        futures: list[asyncio.Future[Any]] = []
        committer.listen(told.append)
        committer.listen(lambda _: done.extend(future.done() for future in futures))
        futures += [committer.execute(Pause("a")) for _ in range(3)]
        await asyncio.gather(*futures)
        assert len(told) == 1
        assert done == [False, False, False]


class TestSurvives:
    async def test_a_batch_that_breaks(self, committer: Committer, apply: Apply) -> None:
        def breaks(command: Command) -> Answer:
            raise ZeroDivisionError

        good, apply.answer = apply.answer, breaks
        with pytest.raises(ZeroDivisionError):
            await committer.execute(Pause("a"))
        apply.answer = good
        assert await committer.execute(Pause("a")) == reply_to(Pause("a"))

    async def test_a_loop_that_was_closed(self, committer: Committer, apply: Apply) -> None:
        apply.gate.clear()
        loop = asyncio.new_event_loop()

        async def leave_behind() -> None:
            committer.execute(Pause("left")).cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        thread = threading.Thread(target=lambda: (loop.run_until_complete(leave_behind()), loop.close()))
        thread.start()
        await eventually(lambda: not thread.is_alive())
        await eventually(lambda: apply.batches == [["left"]])
        apply.gate.set()
        assert await committer.execute(Pause("a")) == reply_to(Pause("a"))

    async def test_a_caller_that_was_cancelled(self, committer: Committer, apply: Apply) -> None:
        apply.gate.clear()
        waiter = asyncio.ensure_future(asyncio.wait_for(committer.execute(Pause("a")), None))
        await eventually(lambda: apply.batches)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        apply.gate.set()
        await committer.execute(Pause("b"))
        assert apply.batches == [["a"], ["b"]]


class TestCalls:
    async def test_work_between_batches(self, committer: Committer) -> None:
        threads: list[str] = []
        await committer.call(lambda: threads.append(threading.current_thread().name))
        assert threads == ["committer"]

    async def test_what_it_raises_is_raised(self, committer: Committer) -> None:
        def fails() -> None:
            raise OSError("disk")

        with pytest.raises(OSError, match="disk"):
            await committer.call(fails)


class TestClose:
    async def test_ends_the_thread_after_what_was_handed_over(self, apply: Apply) -> None:
        committer = Committer(apply=apply, name="closing")
        answer = committer.execute(Pause("a"))
        await asyncio.gather(committer.close(), committer.close())
        assert await answer == reply_to(Pause("a"))
        assert "closing" not in [thread.name for thread in threading.enumerate()]
        with pytest.raises(Unavailable):
            await committer.execute(Pause("a"))
        with pytest.raises(Unavailable):
            await committer.call(lambda: None)
        assert apply.batches == [["a"]]
