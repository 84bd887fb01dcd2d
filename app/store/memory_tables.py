"""What the engine in dictionaries keeps, and how both of its sides look into it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile

from ..model import Event, Head, KeyRecord, PlacedTurn, Turn, TurnStatus
from .memory_access import MemoryAccess


@dataclass(slots=True)
class StoredAgent:
    """All that is kept of one agent. ``mailbox`` maps positions to turns; ``numbers`` are its turns by acceptance.

    Turns up to ``floor`` are of a deleted agent that had the name before. ``late`` are queued turns that were delayed.
    """

    head: Head
    floor: int = 0
    events: list[Event] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    mailbox: dict[int, str] = field(default_factory=dict)
    scheduled: dict[str, None] = field(default_factory=dict)
    late: dict[str, None] = field(default_factory=dict)
    records: dict[tuple[str, str], KeyRecord] = field(default_factory=dict)
    memory: bytes | None = None


class Tables:
    """The stored state, and how both sides look into it."""

    def __init__(self) -> None:
        self.agents: dict[str, StoredAgent] = {}
        self.names: list[str] = []
        self.turns: dict[str, Turn] = {}
        self.order: list[str] = []
        self.numbers: dict[str, int] = {}
        self.deleted: list[StoredAgent] = []
        self.access = MemoryAccess()

    def agent(self, name: str) -> StoredAgent | None:
        agent = self.agents.get(name)
        return agent if agent is not None and not agent.head.deleted else None

    def turn(self, turn_id: str) -> Turn | None:
        """Not one of a deleted agent."""
        turn = self.turns.get(turn_id)
        agent = self.agent(turn.spec.agent) if turn is not None else None
        return turn if agent is not None and self.numbers[turn_id] > agent.floor else None

    def queued(self, agent: StoredAgent) -> Iterable[Turn]:
        """Turns that wait in the mailbox, in its order."""
        for position in range(agent.head.begun + 1, agent.head.joined + 1):
            turn = self.turns.get(agent.mailbox.get(position, ""))
            if turn is not None and turn.status is TurnStatus.QUEUED:
                yield turn

    def purge(self, deleted_before: int, limit: int) -> int:
        removed = 0
        for agent in tuple(self.deleted):
            if (agent.head.deleted_at or 0) < deleted_before and removed < limit:
                removed += self._purge(agent, limit - removed)
        return removed

    def _purge(self, agent: StoredAgent, limit: int) -> int:
        turns, events = agent.numbers[:limit], len(agent.events[:limit])
        for number in turns:
            self.numbers.pop(self.order[number - 1])
            self.turns.pop(self.order[number - 1])
        agent.numbers, agent.events = agent.numbers[len(turns) :], agent.events[events:]
        if not agent.numbers and not agent.events:
            self.deleted.remove(agent)
            agent.records, agent.memory = {}, None
        return len(turns) + events

    def forget(self, agent: StoredAgent, turn_id: str) -> None:
        number, turn = self.numbers.pop(turn_id), self.turns.pop(turn_id)
        agent.numbers.remove(number)
        self.order[number - 1] = ""
        agent.mailbox.pop(turn.position or 0, None)

    def placed(self, turn: Turn) -> PlacedTurn:
        if turn.status is not TurnStatus.QUEUED or turn.position is None:
            return PlacedTurn(turn)
        agent, position = self.agents[turn.spec.agent], turn.position
        if agent.head.joined - agent.head.begun == agent.head.queued:  # without holes
            return PlacedTurn(turn, position - agent.head.begun)
        before = (other.position or 0 for other in self.queued(agent))
        return PlacedTurn(turn, sum(1 for _ in takewhile(lambda other: other <= position, before)))

    def oldest_queued_at(self, agent: StoredAgent) -> int | None:
        """The first in the mailbox, or the first of those that joined late."""
        on_time = next((turn for turn in self.queued(agent) if turn.spec.not_before is None), None)
        late = self.turns[min(agent.late, key=self.numbers.__getitem__)] if agent.late else None
        return min((turn.created_at for turn in (on_time, late) if turn is not None), default=None)
