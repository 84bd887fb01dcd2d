"""Attempts on a real server: tried again after errors, limits and the ends of processes, and given up in the end."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.caller import ENDED, Caller, Json, calling
from tests.follower import following
from tests.helpers import eventually
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

FLAKY = Path(__file__).with_name("flaky.py")
Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serving(tmp_path, FLAKY, settings=settings))


def attempts(path: Path) -> list[int]:
    """Of the lines that are whole: a process may be killed between making the file and writing to it."""
    text = path.read_text() if path.exists() else ""
    return [int(line.split()[2]) for line in text.splitlines(keepends=True) if line.endswith("\n")]


async def types(caller: Caller, turn: Json) -> list[str]:
    return [event["type"].removeprefix("turn.") for event in await caller.of_turn(turn)]


class TestFailures:
    async def test_until_it_is_through(self, start: Start, tmp_path: Path) -> None:
        service, path = start(), tmp_path / "attempts"
        async with calling(service.url) as caller:
            agent = await caller.make_agent("flaky", "echo")
            turn = await caller.submit(agent, "flaky", args=[str(path), 2])
            after = await caller.submit(agent, "echo", args=["next"])
            async with following(f"{service.url}/agents/{agent}/turns/{turn['id']}/stream") as follower:
                events = await follower.to_end()
            ended = await caller.ended(turn)
            assert (ended["status"], ended["attempt"], ended["output"], ended["values"]) == ("completed", 3, [3, 3], 2)
            assert attempts(path) == [1, 2, 3]
            assert (await caller.ended(after))["start_time"] >= ended["end_time"]
            retried = [event for event in events if event["type"] == "turn.retrying"]
            assert [event["attempt"] for event in retried] == [1, 2]
            assert retried[0]["data"]["error"] == {"type": "ConnectionError", "message": "not yet"}
            superseded = {
                seq
                for event in retried
                for first, last in event["data"]["supersedes"]
                for seq in range(first, last + 1)
            }
            values = [event for event in events if event["type"] == "turn.value"]
            assert [event["data"]["value"] for event in values if event["seq"] not in superseded] == ended["output"]

    async def test_as_the_turn_says_instead_of_its_tool(self, start: Start, tmp_path: Path) -> None:
        service, path = start(), tmp_path / "attempts"
        async with calling(service.url) as caller:
            policy = {"max_attempts": 2, "delay": 60, "on": ["error"]}
            turn = await caller.submit("one", "flaky", args=[str(path), 100], retry=policy)
            await eventually(lambda: _has(caller, turn, "turn.retrying"))
            waiting = await caller.turn(turn)
            assert (waiting["status"], waiting["waiting_for"], waiting["position"]) == ("queued", "retry", 1)
            behind = await caller.submit("one", "echo", args=[1])
            assert behind["waiting_for"] == "previous"
            assert (await caller.agent("one"))["status"] == "idle"
            assert (await caller.cancel(turn)).status_code == 200
            assert (await caller.ended(behind))["output"] == 1

    async def test_a_dead_letter_once_more(self, start: Start, tmp_path: Path) -> None:
        service, path = start(), tmp_path / "attempts"
        async with calling(service.url) as caller:
            once = {"max_attempts": 1}
            old = await caller.do("one", "flaky", args=[str(path), 1], retry=once)
            assert (old["status"], old["attempt"]) == ("error", 1)
            answer = await caller.http.post(f"/agents/one/turns/{old['id']}/retry", headers={"Prefer": "wait=30"})
            new = answer.json()
            assert (answer.status_code, new["status"], new["output"]) == (200, "completed", [2, 2])
            assert (new["retry_of"], new["parent"], new["retry"]["max_attempts"]) == (old["id"], None, 1)

    async def test_until_it_is_given_up(self, start: Start, tmp_path: Path) -> None:
        service, path = start(), tmp_path / "attempts"
        async with calling(service.url) as caller:
            ended = await caller.do("one", "flaky", args=[str(path), 100])
            assert (ended["status"], ended["attempt"], ended["error"]["type"]) == ("error", 4, "ConnectionError")
            assert attempts(path) == [1, 2, 3, 4]
            dead = (await caller.http.get("/turns", params={"status": "error"})).json()["items"]
            assert [turn["id"] for turn in dead] == [ended["id"]]

    async def test_a_limit_that_was_exceeded(self, start: Start, tmp_path: Path) -> None:
        service, path = start(), tmp_path / "attempts"
        async with calling(service.url) as caller:
            ended = await caller.do("one", "slow", args=[str(path), 1], timeout=0.2)
            assert (ended["status"], ended["output"]) == ("completed", 2)
            assert (await types(caller, ended))[1:4] == ["started", "retrying", "started"]

    async def test_with_a_lock(self, start: Start, tmp_path: Path) -> None:
        service = start()
        async with calling(service.url) as caller:
            other = await caller.make_agent("locked")
            turns = [
                await caller.submit(agent, "locked", args=[str(tmp_path / f"{agent}-{number}"), 2])
                for agent in ("one", other)
                for number in range(2)
            ]
            ends = [await caller.ended(turn) for turn in turns]
            assert [(end["status"], end["output"], end["attempt"]) for end in ends] == [("completed", 3, 3)] * 4

    async def test_what_it_sent_is_sent_once(self, start: Start, tmp_path: Path) -> None:
        service, path = start(), tmp_path / "attempts"
        async with calling(service.url) as caller:
            target = await caller.make_agent("echo")
            ended = await caller.do("one", "sends_and_fails", args=[str(path), target, 2])
            assert (ended["status"], attempts(path)) == ("completed", [1, 2, 3])
            assert [turn["kwargs"]["value"] for turn in await caller.turns(target)] == ["once", "later"]

    async def test_cancelled_between_two_attempts(self, start: Start, tmp_path: Path) -> None:
        service, path = start(), tmp_path / "attempts"
        async with calling(service.url) as caller:
            turn = await caller.submit("one", "patient", args=[str(path), str(tmp_path / "never")], timeout=0.2)
            await eventually(lambda: _has(caller, turn, "turn.retrying"))
            assert (await caller.cancel(turn)).status_code in (200, 202)
            assert (await caller.ended(turn))["status"] == "cancelled"
            assert (await caller.do("one", "echo", args=[1]))["output"] == 1


class TestCrashes:
    async def test_a_killed_attempt_is_tried_again(self, start: Start, tmp_path: Path) -> None:
        service, path, gate = start(), tmp_path / "attempts", tmp_path / "gate"
        async with calling(service.url) as caller:
            turn = await caller.submit("one", "patient", args=[str(path), str(gate)])
            after = await caller.submit("one", "echo", args=["next"])
            await eventually(lambda: attempts(path) == [1])
            service.restart()
            await eventually(lambda: len(attempts(path)) == 2)
            gate.touch()
            assert (await caller.ended(turn))["output"] == 2
            assert (await caller.ended(after))["output"] == "next"
            assert await types(caller, turn) == ["queued", "started", "retrying", "started", "value", "completed"]

    @pytest.mark.parametrize("how", ["exit", "segfault"])
    async def test_poison(self, start: Start, tmp_path: Path, how: str) -> None:
        """A turn that takes the process along again and again is stopped; the mailbox goes on."""
        service, path = start(), tmp_path / "attempts"
        async with calling(service.url) as caller:
            with suppress(httpx.TransportError):  # the tool may take the process along before the answer has left
                assert (await caller.post("one", "deadly", args=[str(path), 100, how])).status_code == 202

            async def ended() -> list[Json]:
                """Under a supervisor that starts it again whenever it is gone."""
                if not service.running:
                    service.launch()
                try:
                    return [turn for turn in await caller.turns("one") if turn["status"] in ENDED]
                except httpx.TransportError:
                    return []

            (turn,) = await eventually(ended, timeout=30)
            assert (turn["status"], turn["error"]["type"], turn["attempt"]) == ("error", "poison", 3)
            assert attempts(path) == [1, 2, 3]
            assert (await caller.do("one", "echo", args=["on"]))["output"] == "on"
            assert service.running

    @pytest.mark.slow
    async def test_suspects_come_one_at_a_time(self, start: Start, tmp_path: Path) -> None:
        service, gates = start(), [tmp_path / f"gate-{number}" for number in range(3)]
        paths = [tmp_path / f"attempts-{number}" for number in range(3)]
        async with calling(service.url) as caller:
            turns = []
            for path, gate in zip(paths, gates, strict=True):
                agent = await caller.make_agent("patient", "echo")
                turns.append(await caller.submit(agent, "patient", args=[str(path), str(gate)]))
            await eventually(lambda: all(attempts(path) == [1] for path in paths))
            service.restart()
            bystander = await caller.make_agent("echo")
            for done in range(3):
                again = await eventually(lambda: [path for path in paths if len(attempts(path)) == 2])
                assert (await caller.do(bystander, "echo", args=[done]))["output"] == done
                running = [turn for turn in [await caller.turn(turn) for turn in turns] if turn["status"] == "running"]
                assert len(running) == 1
                number = turns.index(next(turn for turn in turns if turn["id"] == running[0]["id"]))
                assert paths[number] in again
                gates[number].touch()
                assert (await caller.ended(turns[number]))["output"] == 2
                paths[number].write_text("")


class TestDrain:
    async def test_a_turn_that_may_be_tried_again_is_put_back(self, start: Start, tmp_path: Path) -> None:
        service, path, gate = start(drain=0.2), tmp_path / "attempts", tmp_path / "gate"
        async with calling(service.url) as caller:
            turn = await caller.submit("one", "patient", args=[str(path), str(gate)])
            for number in range(1, 5):  # more often than it may fail
                await eventually(partial(_tried, path, number))
                service.stop()
                service.start()
            gate.touch()
            ended = await caller.ended(turn)
            assert (ended["status"], ended["output"], ended["attempt"]) == ("completed", 5, 5)

    @pytest.mark.parametrize("tools", [("stubborn",), ("patient", "blocking")])
    async def test_code_that_does_not_stop_is_put_back_as_well(
        self, start: Start, tmp_path: Path, tools: tuple[str, ...]
    ) -> None:
        """Be it that it will not, that it blocks its loop, or that it is on the loop that another one blocks."""
        service, gate = start(drain=0.2), tmp_path / "gate"
        paths = [tmp_path / tool for tool in tools]
        async with calling(service.url) as caller:
            turns = []
            for tool, path in zip(tools, paths, strict=True):
                agent, once = await caller.make_agent(tool), {"max_attempts": 1}
                turns.append(await caller.submit(agent, tool, args=[str(path), str(gate)], retry=once))
                await eventually(partial(_tried, path, 1))
            began = time.monotonic()
            service.stop()
            assert time.monotonic() - began < 0.2 + 5
            service.start()
            gate.touch()
            for turn in turns:
                ended = await caller.ended(turn)
                assert (ended["status"], ended["output"], ended["attempt"]) == ("completed", 2, 2)
                retrying = [event for event in await caller.of_turn(turn) if event["type"] == "turn.retrying"]
                message = "The service shut down while the turn was running."
                assert [event["data"]["error"] for event in retrying] == [{"type": "interrupted", "message": message}]
        with closing(sqlite3.connect(service.database)) as database:
            assert database.execute("SELECT sum(crashes) FROM turns").fetchone() == (0,)


def _tried(path: Path, number: int) -> bool:
    return path.exists() and len(attempts(path)) == number


async def _has(caller: Caller, turn: Json, type_: str) -> bool:
    return any(event["type"] == type_ for event in await caller.of_turn(turn))
