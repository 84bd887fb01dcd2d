"""A store as plain as can be: dictionaries, ``decide``, and every rule that must hold after each command.

It shares nothing with the stores but ``decide``: it loads every part of the view, always, by looking at everything.
"""

from dataclasses import dataclass, field

from pygents_app.commands import Append, Command, DeleteAgent, Enqueue, Finish, Prune, Recover, Release, Reply
from pygents_app.draft import MOVES, Decision
from pygents_app.errors import ServiceError
from pygents_app.lifecycle import View, decide
from pygents_app.model import (
    TERMINAL,
    Begun,
    Event,
    EventType,
    Fence,
    Head,
    KeyRecord,
    PlacedTurn,
    Turn,
    TurnStatus,
)


@dataclass(slots=True)
class Book:
    now: int
    heads: dict[str, Head] = field(default_factory=dict)
    turns: dict[str, Turn] = field(default_factory=dict)
    told: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    records: dict[tuple[str, str, str], KeyRecord] = field(default_factory=dict)
    memories: dict[str, bytes] = field(default_factory=dict)
    begun: list[Begun] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)

    def apply(self, command: Command) -> Reply | ServiceError:
        """Decide and write. Fails if the decision breaks a rule."""
        stale = self._is_stale(command)
        try:
            decision = decide(self._view(command), command, self.now)
        except ServiceError as refusal:
            return refusal
        assert not stale, f"{command} was accepted with a stale fence"
        self._check_due(decision)
        self._write(decision)
        self._check(command.agent)
        if decision.head is not None and decision.head.deleted:
            self._forget(decision.head.name)
        return decision.reply

    def purge(self) -> None:
        """What a store removes in the end of agents that are deleted."""
        self.events = [event for event in self.events if not self.heads[event.agent].deleted]

    # --- what a store would read -------------------------------------------------------------------------------------

    def log(self, agent: str) -> list[Event]:
        return [event for event in self.events if event.agent == agent]

    def of(self, agent: str, status: TurnStatus) -> list[Turn]:
        """Turns by acceptance."""
        return [turn for turn in self.turns.values() if turn.spec.agent == agent and turn.status is status]

    def mailbox(self, agent: str) -> list[Turn]:
        return sorted(self.of(agent, TurnStatus.QUEUED), key=lambda turn: turn.position or 0)

    def placed(self, turn: Turn) -> PlacedTurn:
        waits = turn.status is TurnStatus.QUEUED
        return PlacedTurn(turn, self.mailbox(turn.spec.agent).index(turn) + 1 if waits else None)

    def _view(self, command: Command) -> View:
        head = self.heads.get(command.agent)
        agent, turn_id = self._concerned(command)
        turn = self.turns.get(turn_id or "")
        return View(
            head,
            turn=turn if turn is not None and turn.spec.agent == agent else None,
            next=next(iter(self.mailbox(command.agent)), None),
            due=tuple(self._due(command.agent)),
            prior=self._prior(command) if isinstance(command, Enqueue) else None,
            sender=self._sender(command) if isinstance(command, Enqueue) else None,
            waiting=(*self.mailbox(command.agent), *self.of(command.agent, TurnStatus.SCHEDULED)),
            oldest=[(event.seq, event.time) for event in self.log(command.agent)],
            expired=self._expired(command) if isinstance(command, Prune) else (),
        )

    def _concerned(self, command: Command) -> tuple[str, str | None]:
        """Which turn of which agent: of a send, the sender's."""
        match command:
            case Recover() | DeleteAgent() | Prune():
                head = self.heads.get(command.agent)
                return command.agent, head.current if head is not None else None
            case Enqueue() if command.origin is not None:
                return command.origin.turn
        return command.agent, getattr(command, "turn_id", None)

    def _expired(self, command: Prune) -> tuple[str, ...]:
        head = self.heads.get(command.agent)
        turns = [turn for turn in self.turns.values() if turn.spec.agent == command.agent and head is not None]
        gone = [turn for turn in turns if head is not None and turn.last_seq < head.earliest]
        return tuple(turn.id for turn in gone if turn.ended and (turn.end_time or 0) < command.ended_before)

    def _due(self, agent: str) -> list[Turn]:
        due = [turn for turn in self.of(agent, TurnStatus.SCHEDULED) if (turn.spec.not_before or 0) <= self.now]
        return sorted(due, key=lambda turn: turn.spec.not_before or 0)

    def _prior(self, command: Enqueue) -> tuple[KeyRecord, tuple[PlacedTurn, ...]] | None:
        asked = command.record
        found = self.records.get((asked.agent, asked.caller, asked.key)) if asked is not None else None
        if found is None or not all(one in self.turns for one in found.turn_ids):
            return None
        return found, tuple(self.placed(self.turns[one]) for one in found.turn_ids)

    def _sender(self, command: Enqueue) -> Head | None:
        return self.heads.get(command.origin.turn.agent) if command.origin is not None else None

    # --- what it would write, and what must hold then ----------------------------------------------------------------

    def _is_stale(self, command: Command) -> bool:
        match command:
            case Append() | Finish():
                return not self._owns(command.agent, command.fence, command.turn_id)
            case Release():
                return not self._owns(command.agent, command.fence, None)
            case Enqueue() if command.origin is not None:
                return not self._owns(command.origin.turn.agent, command.origin.fence, command.origin.turn.id)
        return False

    def _owns(self, agent: str, fence: Fence, turn_id: str | None) -> bool:
        head = self.heads.get(agent)
        return head is not None and (head.node, head.epoch) == fence and head.current == turn_id

    def _forget(self, agent: str) -> None:
        """Of a deleted agent the row stays, and its events until another has its name or they are purged."""
        assert not [turn for turn in self.turns.values() if turn.spec.agent == agent and not turn.ended]
        self.turns = {turn.id: turn for turn in self.turns.values() if turn.spec.agent != agent}
        self.records = {key: record for key, record in self.records.items() if record.agent != agent}
        self.memories.pop(agent, None)
        self.cancelled &= self.turns.keys()

    def _write(self, decision: Decision) -> None:
        if decision.head is None:
            assert not (decision.turns or decision.events or decision.record or decision.memory or decision.begun)
            return
        old_head = self.heads.get(decision.head.name)
        if old_head is not None and old_head.deleted and not decision.head.deleted:
            self.events = [event for event in self.events if event.agent != decision.head.name]
        self.heads[decision.head.name] = decision.head
        for turn in decision.turns:
            old = self.turns.get(turn.id)
            assert old is None or _may_become(old.status, turn.status)
            assert old is None or (old.spec, old.created_at, old.first_seq) == (
                turn.spec,
                turn.created_at,
                turn.first_seq,
            )
            self.turns[turn.id] = turn
            if turn.cancel is not None:
                self.cancelled.add(turn.id)
        self.events += decision.events
        self.told += decision.events
        if decision.record is not None:
            self.records[decision.record.agent, decision.record.caller, decision.record.key] = decision.record
        if decision.memory is not None:
            self.memories[decision.head.name] = decision.memory
        if decision.begun is not None:
            self.begun.append(decision.begun)
        if decision.pruned is not None:
            self._prune(decision.head, decision.pruned)

    def _prune(self, head: Head, turn_ids: tuple[str, ...]) -> None:
        running = [turn for turn in self.turns.values() if turn.id == head.current]
        gone = [event for event in self.log(head.name) if event.seq < head.earliest]
        assert not [event for event in gone for turn in running if event.seq >= turn.started_seq]
        self.events = [event for event in self.events if event.agent != head.name or event.seq >= head.earliest]
        assert all(self.turns[one].ended for one in turn_ids)
        self.turns = {one: turn for one, turn in self.turns.items() if one not in turn_ids}
        self.records = {key: record for key, record in self.records.items() if record.turn_ids[0] in self.turns}
        self.cancelled &= self.turns.keys()

    def _check(self, agent: str) -> None:
        head, log = self.heads[agent], self.log(agent)
        assert [event.seq for event in self.told if event.agent == agent] == list(range(1, head.latest + 1))
        if head.deleted:
            assert (head.current, head.queued, head.scheduled) == (None, 0, 0)
            assert not log or log[-1].type is EventType.AGENT_DELETED
            return
        assert [event.seq for event in log] == list(range(head.earliest, head.latest + 1))
        running = self.of(agent, TurnStatus.RUNNING)
        assert [turn.id for turn in running] == ([head.current] if head.current is not None else [])
        assert head.current is None or head.node is not None
        assert head.queued == len(self.of(agent, TurnStatus.QUEUED))
        assert head.scheduled == len(self.of(agent, TurnStatus.SCHEDULED))
        started = [event.turn_id for event in log if event.type is EventType.TURN_STARTED]
        positions = [self.turns[one].position or 0 for one in started if one is not None]
        assert head.length == len(log)
        assert positions == sorted(positions), "turns began in another order than that of the mailbox"
        self._check_order([turn for turn in self.turns.values() if turn.spec.agent == agent])
        for turn in self.turns.values():
            if turn.spec.agent == agent and turn.first_seq >= head.earliest:
                _check_turn(turn, [event for event in log if event.turn_id == turn.id])
        assert all(self.turns[one].status in (TurnStatus.RUNNING, TurnStatus.CANCELLED) for one in self.cancelled)

    def _check_due(self, decision: Decision) -> None:
        """What joins or begins anything lets the turns that are due join first."""
        head = decision.head
        old = self.heads.get(head.name) if head is not None else None
        if head is not None and old is not None and (head.joined, head.begun) != (old.joined, old.begun):
            decided = {turn.id for turn in decision.turns}
            due = [turn for turn in self._due(head.name) if turn.id not in decided]
            assert not due, f"{due} are due and did not join"

    def _check_order(self, turns: list[Turn]) -> None:
        """``turns`` come by acceptance: a turn joins when it was accepted or when it is due, whichever is later."""
        joined = [turn for turn in turns if turn.position is not None]
        expected = sorted(joined, key=lambda turn: max(turn.created_at, turn.spec.not_before or 0))
        assert sorted(joined, key=lambda turn: turn.position or 0) == expected, "a turn was overtaken"


def _may_become(old: TurnStatus, new: TurnStatus) -> bool:
    """Within one decision: one legal move, or that of a turn which joins the mailbox and begins at once."""
    return old is new or new in MOVES[old] or (old, new) == (TurnStatus.SCHEDULED, TurnStatus.RUNNING)


def _check_turn(turn: Turn, log: list[Event]) -> None:
    assert log[0].type is EventType.TURN_QUEUED
    assert (turn.first_seq, turn.last_seq) == (log[0].seq, log[-1].seq)
    ends = [event.type.value for event in log if event.type in TERMINAL]
    assert ends == ([f"turn.{turn.status.value}"] if turn.ended else [])
    assert (log[-1].type in TERMINAL) == turn.ended
    retried = sum(event.type is EventType.TURN_RETRYING for event in log)
    stands = turn.attempt - retried  # attempts that were not given up: the last one, or none
    assert stands in (0, 1)
    assert stands or turn.status in (TurnStatus.SCHEDULED, TurnStatus.QUEUED, TurnStatus.CANCELLED)
    values = sum(event.type is EventType.TURN_VALUE and event.attempt == turn.attempt for event in log)
    assert turn.values == values * stands
    waits = retried > 0 and not stands
    assert (turn.retry_at is not None) == waits or (waits and turn.spared)  # a spared attempt is due at once
    assert turn.attempt == sum(event.type is EventType.TURN_STARTED for event in log)
    assert (turn.end_time is not None) == turn.ended


def same(left: object, right: object) -> bool:
    """Whether two answers say the same; of errors, that they are the same error."""
    if isinstance(left, ServiceError) or isinstance(right, ServiceError):
        return type(left) is type(right) and str(left) == str(right)
    return left == right
