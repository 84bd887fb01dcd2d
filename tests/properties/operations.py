"""Random commands. An operation says which command and which of the known agents and turns, by number: what that means
is settled only when it is applied, so that most of them are about something that exists."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from pygents_app.commands import (
    Append,
    Cancel,
    Claim,
    Command,
    CreateAgent,
    DeleteAgent,
    Enqueue,
    Finish,
    Origin,
    PatchAgent,
    Pause,
    Promote,
    Prune,
    Recover,
    Release,
    Resume,
    Starter,
)
from pygents_app.model import CancelRequest, Definition, Fence, KeyRecord, Outcome, TurnRef, TurnSpec, TurnStatus
from pygents_core.tool import Retry
from tests.properties.book import Book

AGENTS = ("a", "b")
TOOLS = ("greet", "locked")
GREETER = Starter("node-1", frozenset({"greet"}))
STARTERS = (None, GREETER, Starter("node-2", frozenset(TOOLS)), Starter("node-2", frozenset(TOOLS), suspects=True))
RETRIES = (None, None, Retry(3, delay=0), Retry(2, delay=4e-6, max_delay=8e-6))
OUTCOMES = (
    Outcome(TurnStatus.COMPLETED, output=b"1"),
    Outcome(TurnStatus.ERROR, error=b'{"type":"X","message":"x"}'),
    Outcome(TurnStatus.TIMEOUT),
    Outcome(TurnStatus.CANCELLED),
    Outcome(TurnStatus.ERROR, error=b'{"type":"interrupted","message":"x"}', interrupted=True, spares_attempt=True),
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"description": "new"},
    {"description": None, "labels": {"a": "1"}},
    {"labels": {"a": None, "b": "2"}},
    {"tools": ["greet"]},
    {"hooks": {"before_turn": ["h"]}, "tools": list(TOOLS)},
    {"hooks": None},
)
MAILBOX_LIMIT = 6


@dataclass(frozen=True, slots=True)
class Operation:
    """``kind`` is a command's class; the numbers choose from whatever is there."""

    kind: type[Command]
    agent: str
    pick: int
    count: int
    starter: Starter | None
    tool: str
    delay: int
    flag: bool
    stale: bool
    key: str | None


# Commands that move turns on come more often than those that turn everything over.
KINDS: tuple[type[Command], ...] = (
    CreateAgent, Enqueue, Enqueue, Enqueue, Enqueue, Claim, Claim, Append, Append, Finish, Finish, Finish, Release,
    Release, Cancel, Cancel, Pause, Resume, Resume, Promote, Promote, Recover, PatchAgent, DeleteAgent, DeleteAgent,
    Prune, Prune,
)  # fmt: skip

operations = st.builds(
    Operation,
    kind=st.sampled_from(KINDS),
    agent=st.sampled_from(AGENTS),
    pick=st.integers(0, 7),
    count=st.integers(0, 3),
    starter=st.sampled_from(STARTERS),
    tool=st.sampled_from(("greet",) * 6 + ("locked", "unknown")),
    delay=st.sampled_from((0, 0, 0, 0, 2, 6)),
    flag=st.sampled_from((False, False, True)),
    stale=st.sampled_from((False,) * 7 + (True,)),
    key=st.sampled_from((None, None, "k1", "k2")),
)


@dataclass(slots=True)
class Translator:
    """Operations to commands, by what the book says at that moment. New ids are numbered, so that a failure repeats."""

    book: Book
    ids: int = 0

    def command(self, op: Operation) -> Command:
        op = op if op.stale else replace(op, kind=self._fitting(op))
        made = self._starting(op) or self._owned(op)
        if made is not None:
            return made
        if op.kind is Cancel:
            return Cancel(op.agent, self._turn(op), CancelRequest("tester", None))
        if op.kind is Enqueue:
            return self._enqueue(op)
        return self._about_agent(op)

    def _about_agent(self, op: Operation) -> Command:
        if op.kind is Prune:
            now = self.book.now
            return Prune(op.agent, op.pick, now - op.delay * 5, now - op.count, 1000 if op.flag else op.count + 1)
        code = frozenset(AGENTS) if op.key == "k1" else frozenset[str]()
        if op.kind is PatchAgent:
            return PatchAgent(op.agent, CHANGES[op.pick % len(CHANGES)], code)
        if op.kind is DeleteAgent:
            return DeleteAgent(op.agent, "tester", op.pick > 1, code)
        return Pause(op.agent) if op.kind is Pause else CreateAgent(self._definition(op))

    def _fitting(self, op: Operation) -> type[Command]:
        """What of the kind makes sense now: most owners' commands shall find an owner."""
        head = self.book.heads.get(op.agent)
        if head is not None and head.deleted and op.pick > 2:
            return CreateAgent
        if head is None or op.kind not in (Append, Finish, Release):
            return op.kind
        if head.current is None:
            return Claim if head.node is None else Release
        return Finish if op.kind is Release else op.kind

    def _starting(self, op: Operation) -> Command | None:
        if op.kind is Claim:
            return Claim(op.agent, op.starter or GREETER)
        for kind in (Resume, Promote):
            if op.kind is kind:
                return kind(op.agent, op.starter)
        if op.kind is Recover:
            return Recover(op.agent, op.starter, max_crashes=2)
        return None

    def _owned(self, op: Operation) -> Command | None:
        values = tuple(b"%d" % number for number in range(op.count))
        if op.kind is Append:
            return Append(op.agent, self._current(op), self._fence(op), values)
        if op.kind is Release:
            return Release(op.agent, self._fence(op), op.starter)
        if op.kind is Finish:
            returned = self._spec(op) if op.key == "k1" else None
            outcome = OUTCOMES[op.pick % len(OUTCOMES)]
            return Finish(
                op.agent, self._current(op), self._fence(op), outcome, values, b"%d" % op.pick, returned, MAILBOX_LIMIT,
                op.starter, op.flag,
            )  # fmt: skip
        return None

    def _enqueue(self, op: Operation) -> Enqueue:
        specs = tuple(self._spec(op) for _ in range(max(op.count, 1)))
        ids = tuple(spec.id for spec in specs)
        record = KeyRecord(op.agent, "me", op.key, b"%d" % op.pick, ids) if op.key is not None else None
        sender = AGENTS[op.pick % len(AGENTS)]
        origin = Origin(TurnRef(sender, self._current(op, sender)), self._fence(op, sender)) if op.flag else None
        return Enqueue(op.agent, specs, MAILBOX_LIMIT, record, origin, op.starter)

    def _spec(self, op: Operation) -> TurnSpec:
        self.ids += 1
        not_before = self.book.now + op.delay if op.delay else None
        return TurnSpec(f"turn-{self.ids}", op.agent, op.tool, not_before=not_before, retry=RETRIES[op.pick % 4])

    def _definition(self, op: Operation) -> Definition:
        return Definition(op.agent, tools=TOOLS, source="code" if op.flag else "api")

    def _turn(self, op: Operation) -> str:
        known = list(self.book.turns)
        return known[-1 - op.pick % len(known)] if known else "nothing"

    def _current(self, op: Operation, agent: str | None = None) -> str:
        head = self.book.heads.get(agent or op.agent)
        return head.current if head is not None and head.current is not None and not op.stale else self._turn(op)

    def _fence(self, op: Operation, agent: str | None = None) -> Fence:
        head = self.book.heads.get(agent or op.agent)
        if head is None or head.node is None:
            return Fence("node-1", op.pick)
        return Fence(head.node, head.epoch - op.stale)
