"""What clients get through nginx and Caddy, set up as the shipped files say: the same as without them."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from pygents_app.deploy.files import find
from pygents_app.settings import Settings
from tests.caller import calling
from tests.deploy.proxies import NAME, SETUPS, Proxy, proxied
from tests.follower import Follower, Parser, following
from tests.helpers import eventually_sync
from tests.service import Service, serving

AGENTS = Path(__file__).parents[1] / "faults" / "agents.py"
pytestmark = pytest.mark.anyio
MIB = 1024 * 1024


class Front(NamedTuple):
    """A service and the proxy in front of it."""

    service: Service
    proxy: Proxy

    def post(self, content: bytes | None = None, /, *, agent: str = "", **headers: str) -> httpx.Response:
        headers["Content-Type"] = "application/json"
        path = f"/agents/{agent}/turns" if agent else "/agents"
        return httpx.post(self.proxy.url + path, content=content, headers=headers, timeout=30, trust_env=False)


@pytest.fixture(scope="module", params=SETUPS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def front(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One that the tests share which do not stop the service."""
    folder = tmp_path_factory.mktemp(name)
    with (
        serving(folder, AGENTS, settings={"allowed_hosts": NAME}) as service,
        proxied(name, folder / "proxy", service.port) as proxy,
    ):
        yield Front(service, proxy)


@pytest.fixture
def own(name: str, tmp_path: Path) -> Iterator[Callable[[], Front]]:
    """One for a test alone, which may stop the service."""
    with ExitStack() as stack:

        def start() -> Front:
            service = stack.enter_context(serving(tmp_path, AGENTS, settings={"allowed_hosts": NAME}))
            return Front(service, stack.enter_context(proxied(name, tmp_path / "proxy", service.port)))

        yield start


def waiting(gate: Path, to: int = 1) -> dict[str, Any]:
    """A turn that yields, and then runs until the gate is there."""
    return {"kwargs": {"gate": str(gate), "to": to}}


def values(follower: Follower) -> list[Any]:
    return [event["data"]["value"] for event in follower.events if event["type"] == "turn.value"]


class TestStreams:
    async def test_an_event_comes_while_its_turn_still_runs(self, front: Front, tmp_path: Path) -> None:
        """A proxy that holds back what it is sent would show the first value only after the last."""
        async with calling(front.proxy.url) as caller:
            agent = await caller.make_agent("gated_count")
            turn = await caller.submit(agent, "gated_count", **waiting(tmp_path / "gate"))
            async with following(f"{front.proxy.url}/agents/{agent}/stream") as follower:
                await follower.until_type("turn.value")
                assert (await caller.turn(turn))["status"] == "running"
                (tmp_path / "gate").touch()
                await follower.until_type("turn.completed")
                assert values(follower) == [1, 2]

    async def test_so_it_does_in_the_answer_to_a_post(self, front: Front, tmp_path: Path) -> None:
        async with calling(front.proxy.url) as caller:
            agent = await caller.make_agent("gated_count")
            body = {"tool": "gated_count", **waiting(tmp_path / "gate")}
            headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, br"}
            path, parser = f"/agents/{agent}/turns", Parser()
            async with caller.http.stream("POST", path, json=body, headers=headers) as answer:
                assert "content-encoding" not in answer.headers
                async for part in answer.aiter_raw():
                    frames = parser.feed(part)
                    if any(frame.event == "turn.value" for frame in frames):
                        (tmp_path / "gate").touch()
                    if any(frame.event == "turn.completed" for frame in frames):
                        return
        raise AssertionError("the stream ended before its turn")

    async def test_a_stream_that_was_cut_goes_on(self, front: Front) -> None:
        async with calling(front.proxy.url) as caller:
            agent = await caller.make_agent("count")
            await caller.do(agent, "count", kwargs={"to": 20})
            url = f"{front.proxy.url}/agents/{agent}/stream"
            async with following(url) as first:
                await first.until(7)
            async with following(url, cursor=7) as second:
                await second.until_type("turn.completed")
            seen = [event for event in first.events if event["seq"] <= 7]
            assert seen + second.events == await caller.events(agent)

    async def test_its_ticket_is_in_no_access_log(self, front: Front) -> None:
        async with calling(front.proxy.url) as caller:
            agent = await caller.make_agent("count")
            asked = await caller.http.post("/stream-tickets", json={"agents": [agent]})
            ticket = asked.json()["ticket"]
            path = f"/agents/{agent}/stream?ticket={ticket}"
            async with caller.http.stream("GET", path) as answer:
                assert answer.status_code == 200
        logs = [path for path in front.service.folder.rglob("*") if path.suffix == ".log" or path.name == "said"]
        assert not [path for path in logs if ticket in path.read_text()]

    async def test_the_service_hears_of_a_client_that_has_left(self, front: Front, tmp_path: Path) -> None:
        async with calling(front.proxy.url) as caller:
            agent = await caller.make_agent("gated_count")
            body = {"tool": "gated_count", **waiting(tmp_path / "never")}
            path, headers = f"/agents/{agent}/turns?on_disconnect=cancel", {"Accept": "text/event-stream"}
            async with caller.http.stream("POST", path, json=body, headers=headers) as answer:
                turn = answer.headers["location"].rpartition("/")[2]
                await anext(answer.aiter_raw())
            assert (await caller.ended(turn))["status"] == "cancelled"


class TestRequests:
    def test_the_host_is_the_one_that_the_client_asked_for(self, front: Front) -> None:
        port = front.proxy.port
        for host, status in ((f"{NAME}:{port}", 200), (f"127.0.0.1:{port}", 200)):
            answer = httpx.get(f"{front.proxy.url}/info", headers={"Host": host}, trust_env=False)
            assert answer.status_code == status

    def test_a_page_of_the_same_origin_may_write(self, front: Front) -> None:
        body, host = json.dumps({"name": "of-a-page", "tools": []}).encode(), f"{NAME}:{front.proxy.port}"
        assert front.post(body, Host=host, Origin="http://evil.example").json()["type"].endswith("foreign-origin")
        assert front.post(body, Host=host, Origin=f"http://{host}").status_code == 201

    def test_a_body_as_large_as_the_service_takes(self, front: Front) -> None:
        assert front.post(b'{"name":"large","tools":["echo"]}').status_code in (200, 201)
        head, tail = b'{"tool":"echo","args":["', b'"]}'
        body = head + b"x" * (Settings.model_fields["max_body"].default - len(head) - len(tail)) + tail
        assert len(body) == MIB
        assert front.post(body, agent="large").status_code == 202

    def test_what_is_larger_is_refused_by_the_service_which_says_why(self, front: Front) -> None:
        answer = front.post(b"x" * (MIB + 1), agent="large")
        assert (answer.status_code, answer.json()["limit"]) == (413, MIB)

    def test_and_what_is_far_too_large_by_one_of_them(self, front: Front) -> None:
        assert front.post(b"x" * (4 * MIB), agent="large").status_code == 413


class TestRestart:
    async def test_streams_are_told_to_come_back_and_go_on(self, own: Callable[[], Front]) -> None:
        front = own()
        url = front.proxy.url
        async with calling(url) as caller:
            agent = await caller.make_agent("count", name="counter")
            await caller.do(agent, "count", kwargs={"to": 5})
            async with following(f"{url}/agents/{agent}/stream") as follower:
                await follower.until_type("turn.completed")
                front.service.kill()
                with pytest.raises((AssertionError, EOFError, OSError)):
                    await follower.until(10**9)
            away = await caller.http.get(f"/agents/{agent}/stream")
            assert (away.status_code, away.headers["content-type"]) == (200, "text/event-stream")
            parser = Parser()
            parser.feed(away.content)
            assert parser.retry == 3000
            assert_problem(front.post(b'{"tool":"echo"}', agent=agent))
            front.service.start()
            await caller.do(agent, "count", kwargs={"to": 3})
            async with following(f"{url}/agents/{agent}/stream", cursor=follower.parser.id) as later:
                await later.until_type("turn.completed")
            assert follower.events + later.events == await caller.events(agent)

    def test_connections_that_are_kept_do_no_harm(self, own: Callable[[], Front]) -> None:
        """The proxy has some to the process that was killed; a POST over one of those must not fail."""
        front = own()
        assert front.post(b'{"name":"kept","tools":["echo"]}').status_code == 201
        front.service.restart()
        eventually_sync(front.service.is_ready)
        assert front.post(b'{"tool":"echo","args":[1]}', agent="kept").status_code == 202


def assert_problem(answer: httpx.Response) -> None:
    """The proxy's own answer has the form of the service's problems."""
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["type"] == "urn:pygents:problem:unavailable"
    assert answer.json()["status"] == answer.status_code
    assert answer.headers["retry-after"] == "2"


def test_the_limit_of_bodies_of_nginx_is_twice_the_services() -> None:
    file = find("nginx")
    assert file is not None
    assert f"client_max_body_size {2 * Settings.model_fields['max_body'].default // MIB}m;" in file.text()
