"""A restart with other code: what was queued fits it or fails, waits for what is gone, and nothing else is held up."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import pytest

from pygents_app.clock import new_id, system_clock
from pygents_app.commands import CreateAgent, Enqueue
from pygents_app.model import Definition, TurnSpec
from pygents_app.store.local import LocalStore
from pygents_app.store.opening import open_store
from tests.caller import calling
from tests.helpers import eventually
from tests.history import check_log
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

HEAD = """
import asyncio, os
from pygents_core import Agent, Turn, current_agent, tool

async def exists(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.005)

@tool()
async def gated(gate):
    await exists(gate)
"""
ECHO = """
@tool()
async def echo(value=None):
    return value
"""
SEND = """
@tool()
async def send(to):
    await current_agent().send_turn(to, Turn("echo", kwargs={"value": 1}))
"""
LOCKED = """
@tool(lock=True)
async def locked(x, gate="/"):
    await exists(gate)
    return x
"""
LEFT = """
Agent("left", "Comes and goes", [gated, echo, locked])
"""


class Project:
    """A file of code and the service of it."""

    def __init__(self, folder: Path, start: Callable[[Path], Service]) -> None:
        self._file = folder / "their_agents.py"
        self._start = start

    def serve(self, *parts: str) -> Service:
        self._write(parts)
        return self._start(self._file)

    def change(self, service: Service, *parts: str) -> None:
        """kill -9, then start again with other code."""
        service.kill()
        self._write(parts)
        service.start()

    def _write(self, parts: tuple[str, ...]) -> None:
        self._file.write_text("".join([HEAD, *parts]))
        for compiled in self._file.parent.glob("__pycache__/*"):  # versions of one second look the same to Python
            compiled.unlink()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with ExitStack() as stack:
        yield Project(tmp_path, lambda file: stack.enter_context(serving(tmp_path, file)))


@pytest.mark.parametrize("waits_for", ["lock", "previous"])
async def test_a_locked_turn_that_does_not_fit_any_more(project: Project, tmp_path: Path, waits_for: str) -> None:
    """It cannot be prepared, so it ends as an error, once, and the mailbox goes on."""
    service = project.serve(ECHO, LOCKED)
    never = str(tmp_path / "never")
    async with calling(service.url) as caller:
        agent = await caller.make_agent("locked", "echo", "gated")
        if waits_for == "lock":
            holder = await caller.make_agent("locked")
            await caller.becomes(await caller.submit(holder, "locked", args=[1, never]), "running")
        else:
            await caller.becomes(await caller.submit(agent, "gated", args=[never]), "running")
        broken = await caller.submit(agent, "locked", args=["abc"])
        behind = [await caller.submit(agent, "echo", args=[1]), await caller.submit(agent, "locked", args=[7])]
        project.change(service, ECHO, LOCKED.replace("x, gate", "x: int, gate"))
        ended = await caller.ended(broken)
        assert (ended["status"], ended["error"]["type"], ended["attempt"]) == ("error", "ArgumentsError", 1)
        assert [(await caller.ended(turn))["output"] for turn in behind] == [1, 7]
        types = [event["type"] for event in await caller.of_turn(broken)]
        assert types == ["turn.queued", "turn.started", "turn.error"]
        check_log(await caller.events(agent))


async def test_an_agent_that_is_gone_from_the_code(project: Project, tmp_path: Path) -> None:
    """Its turns wait, locked ones too, it takes no new ones; when it is back they run."""
    service = project.serve(ECHO, LOCKED, SEND, LEFT)
    async with calling(service.url) as caller:
        first = await caller.submit("left", "gated", args=[str(tmp_path / "never")])
        await caller.becomes(first, "running")
        waiting = [await caller.submit("left", "locked", args=[1]), await caller.submit("left", "echo", args=[2])]
        asker = await caller.make_agent("send", "echo")

        project.change(service, ECHO, LOCKED, SEND)
        assert (await caller.ended(first))["error"]["type"] == "interrupted"
        assert (await caller.agent("left"))["status"] == "unavailable"
        listed = await caller.http.get("/agents", params={"status": "unavailable"})
        assert [agent["name"] for agent in listed.json()["items"]] == ["left"]
        refused = await caller.post("left", "echo", args=[3])
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "agent-gone")
        sent = await caller.do(asker, "send", args=["left"])
        assert (sent["status"], sent["error"]["type"]) == ("error", "UnregisteredAgentError")
        assert [(await caller.turn(turn))["status"] for turn in waiting] == ["queued", "queued"]

        project.change(service, ECHO, LOCKED, SEND, LEFT)
        assert [(await caller.ended(turn))["output"] for turn in waiting] == [1, 2]
        assert (await caller.agent_becomes("left", "idle"))["queued"] == 0
        check_log(await caller.events("left"))

        project.change(service, ECHO, LOCKED, SEND)
        assert (await caller.agent("left"))["status"] == "unavailable"  # though nothing waits

        latest = (await caller.agent("left"))["latest"]
        assert (await caller.http.delete("/agents/left")).status_code == 204
        assert (await caller.http.get("/agents/left")).status_code == 404
        project.change(service, ECHO, LOCKED, SEND, LEFT)
        again = await caller.agent("left")
        assert (again["earliest"], again["source"]) == (latest + 2, "code")
        assert (await caller.do("left", "echo", args=[5]))["output"] == 5


async def test_a_tool_that_is_gone(project: Project, tmp_path: Path) -> None:
    """Its turns wait, and a key that is known stands for its turn all the same."""
    service = project.serve(ECHO)
    async with calling(service.url) as caller:
        agent = await caller.make_agent("gated", "echo")
        first = await caller.submit(agent, "gated", args=[str(tmp_path / "never")])
        turn = await caller.submit(agent, "echo", key="k", args=[1])
        project.change(service)
        await caller.ended(first)
        assert (await caller.agent(agent))["status"] == "unavailable"
        again = await caller.post(agent, "echo", key="k", args=[1])
        assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (202, "true")
        assert (again.json()["id"], again.json()["status"]) == (turn["id"], "queued")
        assert (await caller.post(agent, "echo", key="k", args=[2])).status_code == 422
        assert (await caller.post(agent, "echo", key="other", args=[1])).status_code == 422
        project.change(service, ECHO)
        assert (await caller.ended(turn))["output"] == 1
        check_log(await caller.events(agent))


async def test_many_agents_with_work_need_one_scan(project: Project, tmp_path: Path) -> None:
    """More than one page of them, behind more than one page of others that cannot begin: all run at once."""
    store = open_store(f"sqlite:///{tmp_path}/pygents.db")
    (waiting, *_) = await _fill(store, "cannot", "gone", 1100)
    await _fill(store, "works", "echo", 1200)
    await store.close()
    service, ready = project.serve(ECHO), system_clock()
    with closing(sqlite3.connect(service.database, isolation_level=None)) as db:
        ends = await eventually(lambda: _ends(db, 1200), timeout=60)
    longest = max(later - earlier for earlier, later in pairwise([ready, *ends]))
    assert longest < 2_500_000, "microseconds: they waited for another scan, which comes every 5 s"
    async with calling(service.url) as caller:
        assert (await caller.turn(waiting))["waiting_for"] == "tool"


def _ends(db: sqlite3.Connection, number: int) -> list[int]:
    """When the turns ended, once that many have; read from the file, because so many requests would take longer."""
    ends = [end for (end,) in db.execute("SELECT end_time FROM turns WHERE status = 'completed' ORDER BY end_time")]
    return ends if len(ends) == number else []


async def _fill(store: LocalStore, prefix: str, tool: str, number: int) -> list[str]:
    """So many agents with one queued turn each, as a process that was killed leaves them behind."""
    specs = [TurnSpec(new_id(), f"{prefix}-{each:04}", tool) for each in range(number)]
    await asyncio.gather(*(store.execute(CreateAgent(Definition(spec.agent, tools=(tool,)))) for spec in specs))
    await asyncio.gather(*(store.execute(Enqueue(spec.agent, (spec,), 1)) for spec in specs))
    return [spec.id for spec in specs]
