"""What a scrape of a real service says, as Prometheus reads it."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pygents_app.errors import Unavailable
from pygents_app.metrics.counting import Counting
from pygents_app.metrics.exposition import Exposition
from pygents_app.metrics.looking import Figures
from pygents_app.ports import Measures
from tests.helpers import eventually_sync
from tests.service import Service, serving

AGENTS = """
import asyncio
import time

from pygents_core import Agent, tool


@tool()
async def greet(name: str = "World") -> str:
    \"\"\"Greet.\"\"\"
    return name


@tool()
async def fail() -> None:
    \"\"\"Fail.\"\"\"
    raise ValueError


@tool()
async def sleep() -> None:
    \"\"\"Take long.\"\"\"
    await asyncio.sleep(60)


@tool()
async def block() -> None:
    \"\"\"Keep the loop.\"\"\"
    time.sleep(1.5)


Agent("greeter", "Greets.", [greet, fail, sleep, block])
"""
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
FIGURES = Figures(running=1, streams=2, behind=3, blocked=4, exhausted=True, draining=False, pending=5)


def samples(text: str) -> Samples:
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    named = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}
    assert len(named) == len(found), "a series is told twice"
    return named


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "mine.py").write_text(AGENTS)
    with serving(folder, "mine.py", settings={"drain": 0, "cancel_grace": 0.2}) as service:
        yield service


class Scraped:
    def __init__(self, service: Service) -> None:
        self._url = f"{service.url}/metrics"
        self.before = self.now()

    def now(self) -> Samples:
        answer = httpx.get(self._url, trust_env=False, timeout=20)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return samples(answer.text)

    def value(self, name: str, **labels: str) -> float | None:
        return self.now().get((name, frozenset(labels.items())))

    def grown(self, name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return self.now().get(key, 0) - self.before.get(key, 0)


@pytest.fixture
def scraped(service: Service) -> Scraped:
    return Scraped(service)


def post(service: Service, agent: str, tool: str, *, wait: bool = True) -> None:
    headers = {"Prefer": "wait=20"} if wait else {}
    answer = httpx.post(
        f"{service.url}/agents/{agent}/turns", json={"tool": tool}, headers=headers, trust_env=False, timeout=30
    )
    assert answer.status_code == (200 if wait else 202), answer.text


def create(service: Service, name: str, **labels: str) -> str:
    body = {"name": name, "tools": ["greet", "fail", "sleep", "block"], "labels": labels}
    assert httpx.post(f"{service.url}/agents", json=body, trust_env=False).status_code == 201
    return name


class TestCounts:
    def test_turns(self, service: Service, scraped: Scraped) -> None:
        agent = create(service, "counted", group="support")
        for tool in ("greet", "greet", "fail"):
            post(service, agent, tool)
        assert scraped.grown("pygents_turns_ended_total", group="support", stop_reason="completed") == 2
        assert scraped.grown("pygents_turns_ended_total", group="support", stop_reason="error") == 1
        assert scraped.grown("pygents_turn_duration_seconds_count", group="support") == 3
        assert scraped.grown("pygents_turn_wait_seconds_count") == 3
        assert scraped.grown("pygents_turn_start_seconds_count") == 3
        assert scraped.grown("pygents_events_total", type="turn.queued") == 3
        assert scraped.grown("pygents_commit_duration_seconds_count") >= 6
        assert scraped.grown("pygents_commit_commands_sum") >= 6

    def test_failures_of_a_group_are_there_before_the_first(self, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(AGENTS)
        with serving(tmp_path, "mine.py") as service:
            create(service, "counted", group="support")
            service.stop()
            service.start()
            found = Scraped(service).before
        for group in ("", "support"):
            key = ("pygents_turns_ended_total", frozenset({"group": group, "stop_reason": "error"}.items()))
            assert found[key] == 0

    def test_requests_by_pattern(self, service: Service, scraped: Scraped) -> None:
        post(service, "greeter", "greet")
        name = "pygents_request_duration_seconds_count"
        assert scraped.grown(name, method="POST", route="/agents/{name}/turns", status="2xx") == 1
        httpx.get(f"{service.url}/no/such/place", trust_env=False)
        assert scraped.grown(name, method="GET", route="", status="4xx") == 1

    def test_reads_for_streams(self, service: Service, scraped: Scraped) -> None:
        post(service, "greeter", "greet")
        with httpx.stream("GET", f"{service.url}/agents/greeter/stream", trust_env=False, timeout=20) as stream:
            chunks = stream.iter_bytes()  # held: a stream ends with its iterator
            assert any(b"turn.completed" in chunk for chunk in chunks)
            assert scraped.value("pygents_streams_open") == 1
        assert scraped.grown("pygents_replay_reads_total") >= 1
        assert scraped.grown("pygents_replayed_events_total") >= 4
        eventually_sync(lambda: scraped.value("pygents_streams_open") == 0)

    def test_lag_of_both_loops(self, scraped: Scraped) -> None:
        def looked_at() -> bool:
            name = "pygents_loop_lag_seconds_count"
            return all(scraped.grown(name, loop=loop) > 1 for loop in ("http", "worker"))

        eventually_sync(looked_at)

    def test_code_that_blocks(self, service: Service, scraped: Scraped) -> None:
        agent = create(service, "blocking")
        post(service, agent, "block", wait=False)
        eventually_sync(lambda: scraped.value("pygents_loops_blocked") == 1)
        assert scraped.grown("pygents_loop_blocks_total") == 1
        eventually_sync(lambda: scraped.value("pygents_loops_blocked") == 0)


class TestLooks:
    def test_what_waits(self, service: Service, scraped: Scraped) -> None:
        agent = create(service, "waiting")
        for tool in ("sleep", "greet", "greet"):
            post(service, agent, tool, wait=False)
        delayed = {"tool": "greet", "delay": 3600}
        httpx.post(f"{service.url}/agents/{agent}/turns", json=delayed, trust_env=False)
        assert scraped.value("pygents_turns_running") == 1
        assert scraped.value("pygents_turns_queued") == 2
        assert scraped.value("pygents_turns_scheduled") == 1
        assert 0 < (scraped.value("pygents_oldest_queued_seconds") or 0) < 60
        httpx.delete(f"{service.url}/agents/{agent}?force=true", trust_env=False)

        def nothing() -> bool:
            found = scraped.now()
            return not any(found[f"pygents_turns_{what}", frozenset()] for what in ("running", "queued", "scheduled"))

        eventually_sync(nothing)

    def test_the_process_and_its_files(self, scraped: Scraped) -> None:
        for name in ("pygents_database_bytes", "process_resident_memory_bytes", "process_open_fds", "pygents_agents"):
            assert (scraped.value(name) or 0) > 0
        assert scraped.value("pygents_store_up") == 1

    def test_it_needs_the_key(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--demo", settings={"admin_key": "correct-horse-battery"}) as service:
            assert httpx.get(f"{service.url}/metrics", trust_env=False).status_code == 401


def exposition(measure: object) -> Exposition:
    return Exposition(
        counting=Counting(), figures=lambda: FIGURES, measure=measure, clock=lambda: 5_000_000, info={"version": "1"}  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.anyio
class TestTheStore:
    async def test_one_that_cannot_be_read_takes_only_its_own_along(self) -> None:
        async def measure() -> Measures:
            raise Unavailable("no disk")

        found = samples((await exposition(measure).text(ready=False)).decode())
        assert found["pygents_store_up", frozenset()] == 0
        assert found["pygents_stream_behind_events", frozenset()] == 3
        assert ("pygents_turns_queued", frozenset()) not in found

    async def test_ages_are_never_negative(self) -> None:
        async def measure() -> Measures:
            return Measures(1, 0, 1, 0, 9_000_000)

        found = samples((await exposition(measure).text(ready=False)).decode())
        assert found["pygents_oldest_queued_seconds", frozenset()] == 0

    async def test_a_crowd_reads_it_one_by_one(self) -> None:
        inside = most = 0

        async def measure() -> Measures:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            return Measures(0, 0, 0, 0, None)

        made = exposition(measure)
        await asyncio.gather(*(made.text(ready=True) for _ in range(8)))
        assert most == 1
