"""A short way to speak to a store: commands with what a test does not care about filled in, and the notices so far."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pygents_app.clock import new_id
from pygents_app.commands import (
    AgentReply,
    Append,
    Appended,
    Cancel,
    Cancelled,
    Claim,
    Claimed,
    Command,
    CreateAgent,
    Enqueue,
    Enqueued,
    Finish,
    Finished,
    Origin,
    Pause,
    Promote,
    Recover,
    Release,
    Resume,
    Starter,
)
from pygents_app.model import (
    TERMINAL,
    Begun,
    CancelRequest,
    Definition,
    Event,
    Fence,
    Head,
    KeyRecord,
    Outcome,
    PlacedTurn,
    Turn,
    TurnRef,
    TurnSpec,
    TurnStatus,
)
from pygents_app.ports import Notice, Store

START = 1_800_000_000_000_000
SECOND = 1_000_000
NODE = "node-1"
STARTER = Starter(NODE, frozenset({"greet", "count"}))
TOOLS = ("greet", "count", "locked")
DONE = Outcome(TurnStatus.COMPLETED, output=b'"done"')
STOP = CancelRequest("tester", "enough")


@dataclass(slots=True)
class Clock:
    """Stands still until a test moves it."""

    now: int = START

    def __call__(self) -> int:
        return self.now


def spec(agent: str = "a", tool: str = "greet", *, not_before: int | None = None) -> TurnSpec:
    return TurnSpec(new_id(), agent, tool, args=b'["World"]', not_before=not_before)


def record_of(specs: tuple[TurnSpec, ...], key: str = "k", digest: bytes = b"d", caller: str = "me") -> KeyRecord:
    return KeyRecord(specs[0].agent, caller, key, digest, tuple(one.id for one in specs))


@dataclass(slots=True)
class Driver:
    """One store. ``starter`` is left out of a command unless a test gives it: nothing begins by surprise."""

    store: Store
    clock: Clock
    notices: list[Notice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store.listen(self.notices.append)

    def execute(self, command: Command) -> "asyncio.Future[Any]":
        return self.store.execute(command)

    # --- commands ----------------------------------------------------------------------------------------------------

    async def create(self, name: str = "a", **parts: Any) -> AgentReply:
        definition = Definition(name, **{"tools": TOOLS, **parts})
        return await self.store.execute(CreateAgent(definition))

    async def submit(
        self,
        *specs: TurnSpec,
        starter: Starter | None = None,
        record: KeyRecord | None = None,
        origin: Origin | None = None,
        limit: int = 1_000,
    ) -> Enqueued:
        specs = specs or (spec(),)
        return await self.store.execute(Enqueue(specs[0].agent, specs, limit, record, origin, starter))

    async def claim(self, agent: str = "a", starter: Starter = STARTER, turn_id: str | None = None) -> Claimed:
        return await self.store.execute(Claim(agent, starter, turn_id))

    async def begin(self, one: TurnSpec | None = None) -> Begun:
        """Submit a turn to an idle agent that begins it."""
        one = one or spec()
        await self.submit(one, starter=STARTER)
        begun = self.notices[-1].begun[0]
        assert begun.turn.id == one.id
        return begun

    async def begin_next(self) -> Begun:
        """Begin the next turn of agent a."""
        claimed = await self.claim()
        assert claimed.begun is not None
        return claimed.begun

    async def append(self, begun: Begun, *values: bytes, fence: Fence | None = None) -> Appended:
        turn = begun.turn
        return await self.store.execute(Append(turn.spec.agent, turn.id, fence or begun.fence, values))

    async def finish(
        self,
        begun: Begun,
        outcome: Outcome = DONE,
        *,
        values: tuple[bytes, ...] = (),
        memory: bytes | None = None,
        returned: TurnSpec | None = None,
        starter: Starter | None = None,
        hold: bool = False,
        fence: Fence | None = None,
        limit: int = 1_000,
        attempt: int | None = None,
    ) -> Finished:
        agent, turn_id = begun.turn.spec.agent, begun.turn.id
        fence = fence or begun.fence
        return await self.store.execute(
            Finish(agent, turn_id, fence, outcome, values, memory, returned, limit, starter, hold, attempt)
        )

    async def release(self, begun: Begun, starter: Starter | None = None) -> Claimed:
        return await self.store.execute(Release(begun.turn.spec.agent, begun.fence, starter))

    async def cancel(self, turn_id: str, agent: str = "a") -> Cancelled:
        return await self.store.execute(Cancel(agent, turn_id, STOP))

    async def pause(self, agent: str = "a") -> AgentReply:
        return await self.store.execute(Pause(agent))

    async def resume(self, agent: str = "a", starter: Starter | None = None) -> AgentReply:
        return await self.store.execute(Resume(agent, starter))

    async def promote(self, agent: str = "a", starter: Starter | None = None) -> Claimed:
        return await self.store.execute(Promote(agent, starter))

    async def recover(self, agent: str = "a", starter: Starter | None = None) -> Claimed:
        return await self.store.execute(Recover(agent, starter))

    # --- reads -------------------------------------------------------------------------------------------------------

    async def head(self, agent: str = "a") -> Head:
        listed = await self.store.get_agent(agent)
        assert listed is not None
        return listed.head

    async def placed(self, turn_id: str) -> PlacedTurn:
        placed = await self.store.get_turn(turn_id)
        assert placed is not None
        return placed

    async def turn(self, turn_id: str) -> Turn:
        return (await self.placed(turn_id)).turn

    async def log(self, agent: str = "a") -> list[Event]:
        """The whole log, checked: numbered from 1 without a gap, and at most one terminal event for each turn."""
        events = await self.store.read_events(agent, 0, 1_000_000)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        ends = [event.turn_id for event in events if event.type in TERMINAL]
        assert len(ends) == len(set(ends))
        return events

    async def types(self, agent: str = "a") -> list[str]:
        return [event.type.value for event in await self.log(agent)]

    # --- notices -----------------------------------------------------------------------------------------------------

    def begun(self) -> list[str]:
        return [begun.turn.id for notice in self.notices for begun in notice.begun]

    def events(self, agent: str = "a") -> list[Event]:
        return [event for notice in self.notices for event in notice.events if event.agent == agent]

    def ready(self) -> list[str]:
        return list(self.notices[-1].ready)


def origin_of(begun: Begun) -> Origin:
    return Origin(TurnRef(begun.turn.spec.agent, begun.turn.id), begun.fence)
