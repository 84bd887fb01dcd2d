"""Every code block of the README is run as it stands there, but for the port."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.examples.markdown import ROOT, blocks
from tests.helpers import eventually_sync
from tests.service import Service, serving

ADDRESS = "127.0.0.1:8000"
FOLLOWS = re.compile(r"\bcurl\b.* -N\b|\bcurl -N\b|\bcurl -sN\b")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("demo"), "--demo") as service:
        yield service


def commands(block: str) -> list[str]:
    """One command each, without its comment; a line that ends in | or \\ goes on."""
    lines = [re.sub(r"\s+#\s.*$", "", line) for line in block.splitlines()]
    joined = re.sub(r"([|\\])\n", r"\1 ", "\n".join(line for line in lines if line.strip()))
    return joined.replace("\\ ", " ").splitlines()


def shell(command: str, *, seconds: float | None = None) -> str:
    """Run it in the tree; one that follows a stream is ended after some seconds, and that is as it should be."""
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
    try:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT, env=path, capture_output=True, text=True, check=False, timeout=seconds or 60,
        )  # fmt: skip
    except subprocess.TimeoutExpired as over:
        assert seconds is not None, f"{command} does not end"
        return (over.stdout or b"").decode()
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


class TestTheFirstMinute:
    def test_every_command_of_the_service_runs(self, demo: Service) -> None:
        """Posts are accepted, streams show events; those of installing and serving are for others to test."""
        ran = 0
        for block in blocks("README.md", "sh"):
            for command in commands(block):
                if command.startswith("sleep "):
                    shell(command)
                    continue
                if ADDRESS not in command:
                    assert re.match(r"make run|pygents serve|pip install|python3? -m (venv|pip)", command), command
                    continue
                ran += 1
                here = command.replace(ADDRESS, f"127.0.0.1:{demo.port}")
                shown = shell(here, seconds=1.0 if FOLLOWS.search(command) else None)
                assert "urn:pygents:problem" not in shown, f"{command}\n{shown}"
                assert ("\nevent: " in shown) if FOLLOWS.search(command) else ('"id":' in shown), f"{command}\n{shown}"
        assert ran >= 5

    def test_the_greeting_comes(self, demo: Service) -> None:
        eventually_sync(lambda: "Hello, World!" in _events(demo, "greeter"))

    def test_the_librarian_answers_from_the_readme(self, demo: Service) -> None:
        turns = _get(demo, "/agents/librarian/turns?limit=1000")["items"]
        search = next(turn for turn in turns if turn["tool"] == "search")
        answer = _get(demo, f"/turns/{search['id']}?wait=30")
        assert answer["status"] == "completed"
        assert "Nothing acknowledged is lost" in answer["output"][0]["text"]

    def test_the_frame_that_is_shown(self, demo: Service) -> None:
        """Same fields in the same order as in the stream."""
        shown = next(block for block in blocks("README.md", "") if block.startswith("id: "))
        sent = shell(f"curl -sN http://127.0.0.1:{demo.port}/agents/greeter/stream", seconds=0.5)
        frame = next(frame for frame in sent.split("\n\n") if "event: turn.value" in frame)
        plain: Callable[[str], str] = lambda text: re.sub(r'"(turn_id|time)":"[^"]*"', r'"\1":""', text).strip()  # noqa: E731
        assert plain(frame) == plain(shown)


@pytest.mark.browser
def test_in_a_browser(demo: Service, page: Page) -> None:
    """The snippet, on a page of the service's own origin, logs the values of a turn."""
    (snippet,) = blocks("README.md", "html")
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    page.route("**/snippet", lambda route: route.fulfill(body=snippet, content_type="text/html"))
    page.goto(f"{demo.url}/snippet")
    turn = {"tool": "count", "kwargs": {"to": 3, "delay": 0.01}}
    assert httpx.post(f"{demo.url}/agents/counter/turns", json=turn, trust_env=False).status_code == 202
    cancel_what_runs(demo, "counter")
    page.wait_for_function("true")
    eventually_sync(lambda: page.evaluate("1") and logged[-3:] == ["1", "2", "3"], timeout=20)


def cancel_what_runs(service: Service, agent: str) -> None:
    """What the blocks before have started counts for a minute."""
    for turn in _get(service, f"/agents/{agent}/turns?status=running")["items"]:
        httpx.post(f"{service.url}/agents/{agent}/turns/{turn['id']}/cancel", trust_env=False)


def test_your_own_agent(tmp_path: Path) -> None:
    """The file is served under the name that its first line gives, and its schema says what the docstring says."""
    (code,) = blocks("README.md", "python")
    name = code.splitlines()[0].removeprefix("# ")
    assert any(f"pygents serve {name}" in block for block in blocks("README.md", "sh"))
    (tmp_path / name).write_text(code)
    with serving(tmp_path, name) as service:
        found = _get(service, "/tools")["items"]
        (forecast,) = [tool for tool in found if tool["name"] == "forecast"]
        properties = forecast["input_schema"]["properties"]
        assert properties["city"]["description"] == "Where."
        assert (properties["days"]["default"], forecast["input_schema"]["required"]) == (3, ["city"])
        assert forecast["streaming"] is True
        assert _get(service, "/agents/weather")["tools"] == ["forecast"]
        refused = httpx.post(
            f"{service.url}/agents/weather/turns", json={"tool": "forecast", "args": ["Oslo", "many"]}, trust_env=False
        )
        assert refused.status_code == 422


def _get(service: Service, path: str) -> Any:
    answer = httpx.get(service.url + path, timeout=40, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _events(service: Service, agent: str) -> str:
    return str(_get(service, f"/agents/{agent}/events?limit=1000"))
