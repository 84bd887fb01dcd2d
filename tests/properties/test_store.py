"""Every store against the book: the same commands in random batches, the same answers and state, also reopened."""

import asyncio
import tempfile
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pygents_app.commands import Command, CreateAgent
from pygents_app.errors import ServiceError
from pygents_app.model import Definition, Event, TurnStatus
from pygents_app.ports import Notice, Store
from pygents_app.store.opening import open_store
from tests.properties.book import Book, same
from tests.properties.operations import AGENTS, TOOLS, Operation, Translator, operations

T = TypeVar("T")


class StoreMachine(RuleBasedStateMachine):
    """``url`` is completed with a folder of the example's own."""

    url = "memory://"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.book = Book(now=1_000)
        self.translator = Translator(self.book)
        self.told: list[Event] = []
        self.begun: list[str] = []
        self.store = self.open()

    def open(self) -> Store:
        store = open_store(self.url.format(folder=self.folder.name), clock=lambda: self.book.now)
        store.listen(self.hear)
        return store

    def hear(self, notice: Notice) -> None:
        self.told += notice.events
        self.begun += [begun.turn.id for begun in notice.begun]

    def wait(self, what: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(what)

    def teardown(self) -> None:
        self.wait(self.store.close())
        self.loop.close()
        self.folder.cleanup()

    # --- rules -------------------------------------------------------------------------------------------------------

    @initialize()
    def two_agents(self) -> None:
        self.commit([CreateAgent(Definition(name, tools=TOOLS)) for name in AGENTS])

    @rule(batch=st.lists(operations, min_size=1, max_size=6), passed=st.integers(0, 6))
    def a_batch(self, batch: list[Operation], passed: int) -> None:
        self.book.now += passed
        commands = []
        expected = []
        for operation in batch:
            commands.append(self.translator.command(operation))
            expected.append(self.book.apply(commands[-1]))
        answers = self.execute(commands)
        asked = zip(commands, answers, expected, strict=True)
        wrong = [(command, answer, wanted) for command, answer, wanted in asked if not same(answer, wanted)]
        assert not wrong, f"what was asked, answered, and should have been: {wrong}"

    @rule(limit=st.sampled_from((1, 2, 1_000)))
    def purge(self, limit: int) -> None:
        while removed := self.wait(self.store.purge(self.book.now + 1, limit)):
            assert removed <= limit + 2  # and the records of the removal itself
        self.book.purge()

    @precondition(lambda self: self.url.startswith("sqlite"))
    @rule()
    def reopen(self) -> None:
        self.wait(self.store.close())
        self.store = self.open()

    def commit(self, commands: list[Command]) -> None:
        for command in commands:
            self.book.apply(command)
        self.execute(commands)

    def execute(self, commands: list[Command]) -> list[object]:
        async def all_at_once() -> list[object]:
            futures: list[asyncio.Future[Any]] = [self.store.execute(command) for command in commands]
            return list(await asyncio.gather(*futures, return_exceptions=True))

        answers = self.wait(all_at_once())
        assert all(isinstance(one, ServiceError) for one in answers if isinstance(one, BaseException)), answers
        return answers

    # --- what must hold after each -----------------------------------------------------------------------------------

    @invariant()
    def agents_are_the_same(self) -> None:
        page = self.wait(self.store.list_agents())
        assert [listed.head for listed in page.items] == [head for head in self.book.heads.values() if not head.deleted]
        for listed in page.items:
            waiting = [turn.created_at for turn in self.book.mailbox(listed.head.name)]
            assert listed.oldest_queued_at == min(waiting, default=None)
            assert self.wait(self.store.read_memory(listed.head.name)) == self.book.memories.get(listed.head.name)

    @invariant()
    def turns_are_the_same(self) -> None:
        page = self.wait(self.store.list_turns(limit=1_000))
        assert list(page.items) == [self.book.placed(turn) for turn in self.book.turns.values()]
        for status in (TurnStatus.QUEUED, TurnStatus.RUNNING, TurnStatus.SCHEDULED):
            listed = self.wait(self.store.list_turns("a", status=status)).items
            assert [placed.turn for placed in listed] == self.book.of("a", status)

    @invariant()
    def logs_are_the_same_and_were_told(self) -> None:
        for name in AGENTS:
            log = self.book.log(name)
            assert self.wait(self.store.read_events(name, self.book.heads[name].earliest - 1, 10_000)) == log
            assert self.told == self.book.told
        assert self.begun == [begun.turn.id for begun in self.book.begun]

    @invariant()
    def work_is_the_same(self) -> None:
        heads = self.book.heads.values()
        ready = [head.name for head in heads if head.queued and head.idle and not head.paused and not head.retry_at]
        assert self.wait(self.store.ready_agents(10)) == ready
        assert self.wait(self.store.owned_agents()) == [head.name for head in heads if not head.idle]
        due = [
            (turn.spec.not_before, name)
            for name in AGENTS
            for turn in self.book.of(name, TurnStatus.SCHEDULED)
        ]  # fmt: skip
        due += [(head.retry_at, head.name) for head in heads if head.retry_at is not None]
        first = min((moment for moment, _ in due if moment is not None), default=None)
        expected = (first, sorted({name for moment, name in due if moment == first})) if first is not None else None
        assert self.wait(self.store.next_due()) == expected


class SqliteMachine(StoreMachine):
    url = "sqlite:///{folder}/pygents.db"


TestMemoryStore = StoreMachine.TestCase
TestMemoryStore.settings = settings(max_examples=25, stateful_step_count=20)
TestSqliteStore = SqliteMachine.TestCase
TestSqliteStore.settings = settings(max_examples=25, stateful_step_count=20)
