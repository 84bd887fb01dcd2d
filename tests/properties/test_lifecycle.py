"""Whatever is asked for, in whatever order, ``decide`` keeps the rules. The rules themselves are in ``book``."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pygents_app.commands import Claimed, CreateAgent, Enqueued, Finished
from pygents_app.model import Definition
from tests.properties.book import Book
from tests.properties.operations import AGENTS, TOOLS, Operation, Translator, operations

STEPS = st.lists(st.tuples(st.integers(0, 4), operations), min_size=30, max_size=60)


def book_with_agents() -> Book:
    book = Book(now=1_000)
    for name in AGENTS:
        book.apply(CreateAgent(Definition(name, tools=TOOLS)))
    return book


@settings(max_examples=150)
@given(STEPS)
@example([])
def test_no_sequence_of_commands_breaks_a_rule(steps: list[tuple[int, Operation]]) -> None:
    book = book_with_agents()
    translator = Translator(book)
    for passed, operation in steps:
        book.now += passed
        book.apply(translator.command(operation))


@settings(max_examples=50)
@given(STEPS)
def test_what_was_answered_as_begun_is_what_runs(steps: list[tuple[int, Operation]]) -> None:
    book = book_with_agents()
    translator = Translator(book)
    for passed, operation in steps:
        book.now += passed
        told = len(book.begun)
        reply = book.apply(translator.command(operation))
        new = book.begun[told:]
        assert len(new) <= 1
        for begun in new:
            head = book.heads[begun.turn.spec.agent]
            assert (head.current, (head.node, head.epoch)) == (begun.turn.id, begun.fence)
        if isinstance(reply, Claimed | Finished) and reply.begun is not None:
            assert new == [reply.begun]
        if isinstance(reply, Enqueued) and not reply.replayed:
            assert reply.turns == tuple(book.placed(book.turns[placed.turn.id]) for placed in reply.turns)
