import asyncio
import json
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pygents_core import (
    Agent,
    AgentHook,
    AgentRegistry,
    HookFailed,
    HookRegistry,
    SafeExecutionError,
    StopReason,
    Tool,
    ToolHook,
    ToolRegistry,
    Turn,
    TurnHook,
    TurnTimeoutError,
    UnregisteredAgentError,
    UnregisteredToolError,
    WorkingMemory,
    WrongRunMethodError,
    current_agent,
    current_turn,
    tool,
)
from pygents_core.hooks import GUARDING
from pygents_core.testing import RecordingHooks, run_agent, scripted_tool
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

VARIABLE = ContextVar("VARIABLE", default="none")


async def collected(values: AsyncGenerator[Any, None]) -> list[Any]:
    return [value async for value in values]


async def refuse(*_: Any) -> None:
    raise PermissionError("no")


async def endless(*_: Any) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def echo() -> Tool:
    @tool
    async def echo(value: Any = None) -> Any:
        return value

    return echo


@pytest.fixture
def numbers() -> Tool:
    @tool
    async def numbers(n: int = 3) -> AsyncGenerator[int, None]:
        for i in range(n):
            yield i

    return numbers


class Elsewhere:
    """A mailbox that is read by somebody else."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def put(self, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None) -> None:
        self.calls.append(("put", turn, delay, not_before))

    async def send(
        self, agent_name: str, turn: Turn[Any], *, delay: float | None = None, not_before: datetime | None = None
    ) -> None:
        self.calls.append(("send", agent_name, turn, delay, not_before))


class TestConstruction:
    def test_registers_itself(self, echo: Tool) -> None:
        agent = Agent("a", "does a", [echo])
        assert AgentRegistry.get("a") is agent
        assert (agent.name, agent.description, agent.tools, agent.hooks) == ("a", "does a", [echo], {})
        with pytest.raises(ValueError, match="'a' already registered"):
            Agent("a", "", [])
        assert Agent("a", "", [], register=False) is not agent
        assert repr(agent) == "<agent 'a'>"

    def test_tools_must_be_the_registered_ones(self, echo: Tool) -> None:
        other = Tool(echo.fn)
        with pytest.raises(ValueError, match="not the instance"):
            Agent("a", "", [other])
        ToolRegistry.clear()
        with pytest.raises(UnregisteredToolError, match="not found"):
            Agent("a", "", [echo])
        with pytest.raises(UnregisteredAgentError):
            AgentRegistry.get("a")

    def test_hooks_are_registered(self, echo: Tool) -> None:
        agent = Agent("a", "", [echo], hooks={AgentHook.BEFORE_TURN: [refuse], TurnHook.ON_VALUE: [refuse]})
        agent.add_hook(AgentHook.AFTER_TURN, refuse)
        assert HookRegistry.get("refuse") is refuse
        assert agent.hooks.keys() == {AgentHook.BEFORE_TURN, TurnHook.ON_VALUE, AgentHook.AFTER_TURN}

    def test_attributes_of_the_users_own(self) -> None:
        agent = Agent("a", "", [])
        agent.mine = 1
        assert agent.mine == 1  # type: ignore[attr-defined]


class TestPut:
    async def test_put_and_pop(self, echo: Tool) -> None:
        agent, turn = Agent("a", "", [echo]), Turn("echo")
        await agent.put(turn)
        assert await agent.pop() is turn

    async def test_what_is_not_accepted(self, echo: Tool, numbers: Tool) -> None:
        agent = Agent("a", "", [echo])
        with pytest.raises(ValueError, match="does not accept tool 'numbers'"):
            await agent.put(Turn("numbers"))
        turn = Turn("echo")
        turn.tool = None  # type: ignore[assignment]
        with pytest.raises(ValueError, match="has no tool"):
            await agent.put(turn)
        assert (agent.accepts("echo"), agent.accepts("numbers")) == (True, False)

    async def test_hooks(self, echo: Tool) -> None:
        recording = RecordingHooks(AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT)
        agent, turn = Agent("a", "", [echo], hooks=recording.hooks), Turn("echo")
        await agent.put(turn)
        assert recording.events == [(AgentHook.BEFORE_PUT, (agent, turn)), (AgentHook.AFTER_PUT, (agent, turn))]

    async def test_a_guard_that_raises_keeps_it_out(self, echo: Tool) -> None:
        agent, turn = Agent("a", "", [echo], hooks={AgentHook.BEFORE_PUT: [refuse]}), Turn("echo")
        with pytest.raises(PermissionError):
            await agent.put(turn)
        with pytest.raises(HookFailed) as caught:
            await agent.admit(turn)
        assert isinstance(caught.value.__cause__, PermissionError)
        assert agent.to_dict()["queue"] == []

    async def test_a_guard_that_is_too_slow(self, echo: Tool) -> None:
        agent = Agent("a", "", [echo], hooks={AgentHook.BEFORE_PUT: [endless]}, hook_timeout=0.01)
        with pytest.raises(HookFailed) as caught:
            await agent.put(Turn("echo"))
        assert caught.value.timed_out

    async def test_send_turn(self, echo: Tool) -> None:
        sender, target = Agent("sender", "", []), Agent("target", "", [echo])
        await sender.send_turn("target", Turn("echo", [1]))
        assert [value for _, value in await run_agent(target)] == [1]
        with pytest.raises(UnregisteredAgentError, match="'nobody' not found"):
            await sender.send_turn("nobody", Turn("echo"))
        with pytest.raises(ValueError, match="does not accept"):
            await sender.send_turn("sender", Turn("echo"))

    async def test_send_turn_to_one_that_only_the_resolver_knows(self, echo: Tool) -> None:
        stored = Agent("stored", "", [echo], register=False)
        AgentRegistry.resolver = {"stored": stored}.get
        await Agent("sender", "", []).send_turn("stored", Turn("echo", [2]))
        assert [value for _, value in await run_agent(stored)] == [2]

    async def test_another_mailbox(self, echo: Tool) -> None:
        elsewhere, turn = Elsewhere(), Turn("echo")
        agent = Agent("a", "", [echo])
        agent.mailbox = elsewhere
        await agent.put(turn, delay=1)
        now = datetime.now(UTC)
        await agent.send_turn("other", turn, not_before=now)
        assert elsewhere.calls == [("put", turn, 1, None), ("send", "other", turn, None, now)]
        with pytest.raises(WrongRunMethodError):
            await collected(agent.run())
        assert await collected(agent.run_turn(turn)) == [None]


class TestRun:
    async def test_pairs_in_order_until_the_mailbox_is_empty(self, echo: Tool, numbers: Tool) -> None:
        agent = Agent("a", "", [echo, numbers])
        first, second, third = Turn("numbers"), Turn("echo", [None]), Turn("echo", ["x"])
        pairs = await run_agent(agent, first, second, third)
        assert pairs == [(first, 0), (first, 1), (first, 2), (second, None), (third, "x")]
        assert first.output == [0, 1, 2]
        assert await collected(agent.run()) == []

    async def test_what_is_put_while_it_runs(self, echo: Tool) -> None:
        agent = Agent("a", "", [echo])
        await agent.put(Turn("echo", [3]))
        seen = []
        async for _, value in agent.run():
            seen.append(value)
            if value:
                await agent.put(Turn("echo", [value - 1]))
        assert seen == [3, 2, 1, 0]

    async def test_hooks_of_a_coroutine_tool(self, echo: Tool) -> None:
        recording = RecordingHooks()
        agent, turn = Agent("a", "", [echo], hooks=recording.hooks), Turn("echo", [1])
        await run_agent(agent, turn)
        assert recording.events == [
            (AgentHook.BEFORE_PUT, (agent, turn)),
            (AgentHook.AFTER_PUT, (agent, turn)),
            (AgentHook.BEFORE_TURN, (agent,)),
            (TurnHook.BEFORE_RUN, (turn,)),
            (TurnHook.AFTER_RUN, (turn,)),
            (AgentHook.ON_TURN_VALUE, (agent, turn, 1)),
            (AgentHook.AFTER_TURN, (agent, turn)),
        ]

    async def test_hooks_of_a_generator_tool(self, numbers: Tool) -> None:
        recording = RecordingHooks()
        agent, turn = Agent("a", "", [numbers], hooks=recording.hooks), Turn("numbers", [2])
        await run_agent(agent, turn)
        assert recording.kinds[2:] == [
            AgentHook.BEFORE_TURN,
            TurnHook.BEFORE_RUN,
            *[TurnHook.ON_VALUE, AgentHook.ON_TURN_VALUE] * 2,
            TurnHook.AFTER_RUN,
            AgentHook.AFTER_TURN,
        ]

    async def test_hooks_of_the_agent_come_before_those_of_the_turn(self, echo: Tool) -> None:
        order: list[str] = []

        async def of_agent(_: Any) -> None:
            order.append("agent")

        async def of_turn(_: Any) -> None:
            order.append("turn")

        agent = Agent("a", "", [echo], hooks={TurnHook.AFTER_RUN: [of_agent]})
        await run_agent(agent, Turn("echo", hooks={TurnHook.AFTER_RUN: [of_turn]}))
        assert order == ["agent", "turn"]

    async def test_an_error_leaves_and_the_rest_stays(self, echo: Tool) -> None:
        fails = scripted_tool("fails", ValueError("x"))
        recording = RecordingHooks(AgentHook.ON_TURN_ERROR, AgentHook.AFTER_TURN)
        agent, turn = Agent("a", "", [echo, fails], hooks=recording.hooks), Turn("fails")
        with pytest.raises(ValueError, match="x") as caught:
            await run_agent(agent, turn, Turn("echo", [1]))
        assert recording.events == [(AgentHook.ON_TURN_ERROR, (agent, turn, caught.value))]
        assert [value for _, value in await run_agent(agent)] == [1]

    async def test_a_timeout_leaves_too(self) -> None:
        @tool
        async def wait() -> None:
            await asyncio.Event().wait()

        recording = RecordingHooks(AgentHook.ON_TURN_TIMEOUT, AgentHook.ON_TURN_ERROR)
        agent, turn = Agent("a", "", [wait], hooks=recording.hooks), Turn("wait", timeout=0.01)
        with pytest.raises(TurnTimeoutError):
            await run_agent(agent, turn)
        assert recording.events == [(AgentHook.ON_TURN_TIMEOUT, (agent, turn))]
        agent.description = "free again"

    async def test_error_hooks_see_a_turn_that_has_ended(self) -> None:
        seen: list[Any] = []

        @tool(lock=True)
        async def fails() -> None:
            raise ValueError

        async def look(_: Agent, turn: Turn[Any], __: BaseException) -> None:
            assert turn.tool.lock is not None
            seen.append((turn.is_running, turn.tool.lock.locked(), turn.end_time is not None))
            turn.timeout = 5

        with pytest.raises(ValueError):
            await run_agent(Agent("a", "", [fails], hooks={AgentHook.ON_TURN_ERROR: [look]}), Turn("fails"))
        assert seen == [(False, False, True)]

    async def test_nothing_is_set_and_nothing_started_while_it_runs(self, numbers: Tool) -> None:
        agent = Agent("a", "", [numbers])
        await agent.put(Turn("numbers", [1]))
        second = agent.run()
        async for _ in agent.run():
            for name in ("name", "description", "tools", "hooks", "mailbox", "anything"):
                with pytest.raises(SafeExecutionError, match=name):
                    setattr(agent, name, None)
            with pytest.raises(SafeExecutionError, match="running"):
                agent.run()
            with pytest.raises(SafeExecutionError, match="running"):
                await anext(second)
        agent.description = "free again"

    async def test_closing_it_early(self, numbers: Tool) -> None:
        agent, turn = Agent("a", "", [numbers]), Turn("numbers")
        await agent.put(turn)
        await agent.put(Turn("numbers", [1]))
        pairs = agent.run()
        assert await anext(pairs) == (turn, 0)
        await pairs.aclose()
        assert turn.stop_reason is StopReason.CANCELLED
        assert [value for _, value in await run_agent(agent)] == [0]

    async def test_the_pair_of_a_coroutine_tool_comes_when_all_is_over(self) -> None:
        @tool(lock=True)
        async def locked() -> int:
            return 1

        assert locked.lock is not None
        agent, turn = Agent("a", "", [locked]), Turn("locked")
        await agent.put(turn)
        async for _ in agent.run():
            assert (turn.stop_reason, turn.is_running, locked.lock.locked()) == (StopReason.COMPLETED, False, False)

    async def test_a_returned_turn_is_yielded_and_put(self, echo: Tool) -> None:
        @tool
        async def countdown(n: int) -> Any:
            return Turn("countdown", [n - 1]) if n else "done"

        recording = RecordingHooks(AgentHook.ON_TURN_VALUE, AgentHook.BEFORE_PUT)
        agent = Agent("a", "", [countdown], hooks=recording.hooks)
        pairs = await run_agent(agent, Turn("countdown", [2]))
        assert [turn.args for turn, _ in pairs] == [[2], [1], [0]]
        assert [value for _, value in pairs] == [pairs[1][0], pairs[2][0], "done"]
        assert recording.kinds == [AgentHook.BEFORE_PUT, AgentHook.ON_TURN_VALUE] * 3

    async def test_delayed_turns_are_waited_for(self, echo: Tool) -> None:
        agent = Agent("a", "", [echo])
        await agent.put(Turn("echo", ["late"]), delay=0.02)
        await agent.put(Turn("echo", ["later"]), not_before=datetime.now(UTC) + timedelta(seconds=0.03))
        assert [value for _, value in await run_agent(agent, Turn("echo", ["now"]))] == ["now", "late", "later"]

    async def test_is_cancelled(self) -> None:
        @tool
        async def wait() -> None:
            await asyncio.Event().wait()

        agent, turn = Agent("a", "", [wait]), Turn("wait")
        running = asyncio.create_task(run_agent(agent, turn))
        await eventually(lambda: turn.is_running)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert turn.stop_reason is StopReason.CANCELLED
        agent.description = "free again"

    @pytest.mark.parametrize("kind", [AgentHook.BEFORE_TURN, AgentHook.ON_TURN_VALUE])
    async def test_a_guard_that_raises_fails_the_turn(self, echo: Tool, kind: AgentHook) -> None:
        recording = RecordingHooks(AgentHook.ON_TURN_ERROR, TurnHook.ON_ERROR)
        agent, turn = Agent("a", "", [echo], hooks={kind: [refuse], **recording.hooks}), Turn("echo")
        with pytest.raises(PermissionError):
            await run_agent(agent, turn)
        assert turn.stop_reason is StopReason.ERROR
        assert recording.kinds == [TurnHook.ON_ERROR, AgentHook.ON_TURN_ERROR]


class TestPause:
    async def test_the_running_turn_finishes_and_the_next_waits(self, echo: Tool) -> None:
        agent, seen = Agent("a", "", [echo]), list[Any]()
        for number in range(3):
            await agent.put(Turn("echo", [number]))

        async def run() -> None:
            async for _, value in agent.run():
                seen.append(value)
                agent.pause()

        running = asyncio.create_task(run())
        for expected in ([0], [0, 1], [0, 1, 2]):
            await eventually(lambda expected=expected: seen == expected)  # type: ignore[misc]
            for _ in range(5):
                await asyncio.sleep(0)
            assert seen == expected
            assert agent.is_paused
            agent.resume()
        await running

    async def test_one_that_is_empty_ends(self, echo: Tool) -> None:
        agent = Agent("a", "", [echo])
        agent.pause()
        assert await run_agent(agent) == []

    async def test_while_it_waits_for_a_delayed_turn(self, echo: Tool) -> None:
        agent = Agent("a", "", [echo])
        await agent.put(Turn("echo", [1]), delay=0.02)
        running = asyncio.create_task(run_agent(agent))
        await asyncio.sleep(0)
        agent.pause()
        await asyncio.sleep(0.05)
        assert not running.done()
        assert len(agent.to_dict()["queue"]) == 1
        agent.resume()
        assert [value for _, value in await running] == [1]


class TestRunTurn:
    async def test_values_of_both_kinds(self, echo: Tool, numbers: Tool) -> None:
        agent = Agent("a", "", [echo, numbers])
        assert await collected(agent.run_turn(Turn("echo", [None]))) == [None]
        assert await collected(agent.run_turn(Turn("numbers", [2]))) == [0, 1]

    async def test_a_returned_turn_is_no_value(self, echo: Tool) -> None:
        following: Turn[Any] = Turn("echo")
        giving = scripted_tool("giving", following)
        recording = RecordingHooks(AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN)
        agent, turn = Agent("a", "", [giving, echo], hooks=recording.hooks), Turn("giving")
        assert await collected(agent.run_turn(turn)) == []
        assert turn.output is following
        assert agent.to_dict()["queue"] == []
        assert recording.kinds == [AgentHook.AFTER_TURN]

    async def test_begin_comes_after_the_lock_and_before_everything_else(self) -> None:
        order: list[Any] = []

        @tool(lock=True)
        async def locked() -> None:
            order.append("tool")

        async def begin() -> None:
            assert locked.lock is not None
            order.append(("begin", locked.lock.locked(), turn.is_running))

        async def before(_: Any) -> None:
            order.append("before")

        turn = Turn[None]("locked")
        agent = Agent("a", "", [locked], hooks={AgentHook.BEFORE_TURN: [before], TurnHook.BEFORE_RUN: [before]})
        await collected(agent.run_turn(turn, begin=begin))
        assert order == [("begin", True, False), "before", "before", "tool"]

    async def test_a_begin_that_raises_leaves_nothing(self) -> None:
        locked = tool(lock=True)(_named("locked", lambda: None))
        recording = RecordingHooks()
        agent, turn = Agent("a", "", [locked], hooks=recording.hooks), Turn(locked)
        with pytest.raises(PermissionError):
            await collected(agent.run_turn(turn, begin=refuse))
        assert locked.lock is not None
        assert not locked.lock.locked()
        assert (turn.start_time, turn.end_time, turn.stop_reason, turn.is_running) == (None, None, None, False)
        assert recording.events == []

    async def test_begin_is_awaited_in_the_context_of_the_caller(self, echo: Tool) -> None:
        async def begin() -> None:
            VARIABLE.set("begun")

        @tool
        async def look() -> str:
            return VARIABLE.get()

        agent = Agent("a", "", [look])
        assert await collected(agent.run_turn(Turn("look"), begin=begin)) == ["begun"]
        assert VARIABLE.get() == "begun"

    @pytest.mark.parametrize("kind", sorted(GUARDING & {*TurnHook, *AgentHook} - {AgentHook.BEFORE_PUT}))
    @pytest.mark.parametrize("hook", [refuse, endless])
    async def test_a_guard_that_fails(self, numbers: Tool, kind: Any, hook: Any) -> None:
        agent, turn = Agent("a", "", [numbers], hooks={kind: [hook]}, hook_timeout=0.01), Turn("numbers")
        with pytest.raises(HookFailed) as caught:
            await collected(agent.run_turn(turn))
        assert (caught.value.kind, caught.value.timed_out) == (kind.value, hook is endless)
        assert caught.value.__cause__ is not None
        assert turn.stop_reason is StopReason.ERROR

    async def test_a_guard_of_the_tool_that_fails(self) -> None:
        @tool(hooks={ToolHook.BEFORE_INVOKE: [refuse]})
        async def guarded() -> None:
            pass

        with pytest.raises(HookFailed):
            await collected(Agent("a", "", [guarded]).run_turn(Turn("guarded")))

    async def test_a_turn_that_is_running(self, numbers: Tool) -> None:
        agent, turn = Agent("a", "", [numbers]), Turn("numbers")
        values = agent.run_turn(turn)
        later = agent.run_turn(turn)
        await anext(values)
        with pytest.raises(SafeExecutionError):
            agent.run_turn(turn)
        with pytest.raises(SafeExecutionError):
            await anext(later)
        assert turn.is_running
        await values.aclose()

    async def test_cancelled_while_the_tool_cleans_up_in_its_own_time(self) -> None:
        closed = asyncio.Event()

        @tool
        async def tidy() -> AsyncGenerator[int, None]:
            try:
                await asyncio.Event().wait()
                yield 1
            finally:
                await asyncio.sleep(0.01)
                closed.set()

        agent, turn = Agent("a", "", [tidy]), Turn("tidy")
        running = asyncio.create_task(collected(agent.run_turn(turn)))
        await eventually(lambda: turn.is_running)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert closed.is_set()

    async def test_current_agent_and_turn(self) -> None:
        @tool
        async def look() -> Any:
            return current_agent(), current_turn(), await asyncio.create_task(_current_agent())

        agent, turn = Agent("a", "", [look]), Turn("look")
        assert await collected(agent.run_turn(turn)) == [(agent, turn, agent)]

    async def test_an_agent_run_by_the_tool_of_another(self, echo: Tool) -> None:
        inner = Agent("inner", "", [tool(_named("who", lambda: current_agent().name))])

        @tool
        async def outer() -> Any:
            names = [value for _, value in await run_agent(inner, Turn("who"))]
            return [*names, current_agent().name]

        assert await collected(Agent("outer", "", [outer]).run_turn(Turn("outer"))) == [["inner", "outer"]]


class TestMemory:
    @pytest.fixture
    def remember(self) -> Tool:
        @tool
        async def remember(memory: WorkingMemory, item: Any) -> list[Any]:
            memory.append(item)
            if isinstance(item, Exception):
                raise item
            return memory.items

        return remember

    async def test_each_attempt_works_on_a_copy_that_is_kept_when_it_completes(self, remember: Tool) -> None:
        memory = WorkingMemory(2)
        memory.append(0)
        agent = Agent("a", "", [remember], memory=memory)
        pairs = await run_agent(agent, Turn("remember", [1]), Turn("remember", kwargs={"item": 2}))
        assert [value for _, value in pairs] == [[0, 1], [1, 2]]
        assert agent.memory is memory
        assert memory.items == [1, 2]
        with pytest.raises(ValueError, match="lost"):
            await run_agent(agent, Turn("remember", [ValueError("lost")]))
        assert memory.items == [1, 2]

    async def test_an_agent_without_one_gets_one(self, remember: Tool) -> None:
        agent, turn = Agent("a", "", [remember]), Turn("remember", [1])
        assert agent.to_dict().get("memory") is None
        await collected(agent.run_turn(turn))
        assert agent.memory is not None
        assert (agent.memory.items, agent.memory.limit) == ([1], 100)
        assert turn.memory is not None
        assert turn.memory.items == [1]

    async def test_one_that_the_caller_gives_is_the_callers(self, remember: Tool) -> None:
        mine, agent = WorkingMemory(5), Agent("a", "", [remember])
        await run_agent(agent, Turn("remember", [mine, 1]))
        assert (mine.items, agent.memory) == ([1], None)

    async def test_a_failing_value_hook_drops_it(self, remember: Tool) -> None:
        agent = Agent("a", "", [remember], hooks={AgentHook.ON_TURN_VALUE: [refuse]})
        with pytest.raises(PermissionError):
            await run_agent(agent, Turn("remember", [1]))
        assert agent.memory is None

    async def test_a_generator_closed_early_drops_it(self) -> None:
        @tool
        async def fill(memory: WorkingMemory) -> AsyncGenerator[int, None]:
            memory.append(1)
            yield 1
            yield 2

        agent = Agent("a", "", [fill])
        values = agent.run_turn(Turn("fill"))
        await anext(values)
        await values.aclose()
        assert agent.memory is None
        await collected(agent.run_turn(Turn("fill")))
        assert agent.memory is not None


class TestDicts:
    async def test_all_of_it_and_back(self, echo: Tool, numbers: Tool) -> None:
        agent = Agent("a", "does a", [echo, numbers])
        agent.add_hook(AgentHook.BEFORE_TURN, _nothing, "custom")
        agent.add_hook(TurnHook.ON_VALUE, _nothing, "custom")
        await agent.put(Turn("echo", [1], metadata={"m": 1}))
        await agent.put(Turn("numbers", kwargs={"n": 2}))
        data = agent.to_dict()
        assert {**data, "queue": [turn["tool_name"] for turn in data["queue"]]} == {
            "name": "a",
            "description": "does a",
            "tool_names": ["echo", "numbers"],
            "queue": ["echo", "numbers"],
            "hooks": {"before_turn": ["custom"], "on_value": ["custom"]},
        }
        AgentRegistry.clear()
        again = Agent.from_dict(json.loads(json.dumps(data)))
        assert AgentRegistry.get("a") is again
        assert again.to_dict() == data
        assert again.hooks == agent.hooks
        assert [value for _, value in await run_agent(again)] == [1, 0, 1]
        assert len(agent.to_dict()["queue"]) == 2, "a copy was run"

    async def test_delayed_turns_and_memory(self, echo: Tool) -> None:
        memory = WorkingMemory(3)
        memory.append("x")
        agent = Agent("a", "", [echo], memory=memory)
        due = datetime(2999, 1, 2, tzinfo=UTC)
        await agent.put(Turn("echo"), not_before=due)
        await agent.put(Turn("echo"))
        data = agent.to_dict()
        assert [turn.get("not_before") for turn in data["queue"]] == [None, "2999-01-02T00:00:00+00:00"]
        assert data["memory"] == {"limit": 3, "items": ["x"]}
        AgentRegistry.clear()
        assert Agent.from_dict(data).to_dict() == data

    def test_a_name_that_is_taken_or_a_tool_that_is_gone(self, echo: Tool) -> None:
        data = Agent("a", "", [echo]).to_dict()
        with pytest.raises(ValueError, match="already registered"):
            Agent.from_dict(data)
        ToolRegistry.clear()
        with pytest.raises(UnregisteredToolError):
            Agent.from_dict({**data, "name": "b"})


async def _nothing(*_: Any) -> None:
    pass


async def _current_agent() -> Agent:
    return current_agent()


def _named(name: str, body: Any) -> Any:
    async def f() -> Any:
        return body()

    f.__name__ = name
    return f


class TestLongStreams:
    async def test_run_turn_does_not_keep_them(self) -> None:
        @tool()
        async def numbers() -> AsyncGenerator[int, None]:
            for number in range(10):
                yield number

        turn = Turn(numbers)
        assert [value async for value in Agent("a", "", [numbers]).run_turn(turn)] == list(range(10))
        assert turn.output is None
        assert turn.stop_reason is StopReason.COMPLETED
