"""What a page gets that uses nothing but ``new EventSource(...)``: values live, and after a kill -9 the rest."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.helpers import eventually_sync
from tests.service import Service, serving

pytestmark = pytest.mark.browser

LISTEN = """
    window.received = []
    window.errors = 0
    window.stream = new EventSource('/agents/counter/stream')
    window.stream.addEventListener('turn.value', e => window.received.push([e.lastEventId, JSON.parse(e.data)]))
    window.stream.addEventListener('error', () => window.errors++)
"""


def post(service: Service, to: int, delay: float) -> str:
    turn = {"tool": "count", "kwargs": {"to": to, "delay": delay}}
    answer = httpx.post(f"{service.url}/agents/counter/turns", json=turn, trust_env=False)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def values(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = "0"
    while after is not None:
        query = f"after={after}&limit=1000"
        page = httpx.get(f"{service.url}/agents/counter/events?{query}", trust_env=False).json()
        found += [event for event in page["items"] if event["type"] == "turn.value"]
        after = page["next"]
    return found


def ended(service: Service, turn_id: str) -> bool:
    turn = httpx.get(f"{service.url}/turns/{turn_id}", params={"wait": 30}, timeout=40, trust_env=False).json()
    return turn["end_time"] is not None


def received(page: Page) -> list[dict[str, Any]]:
    found = page.evaluate("window.received")
    assert all(int(last_id) == event["seq"] for last_id, event in found)
    return [event for _, event in found]


def test_live(tmp_path: Path, page: Page) -> None:
    with serving(tmp_path, "--demo") as service:
        page.goto(f"{service.url}/healthz")
        page.evaluate(LISTEN)
        turn_id = post(service, 5, 0.05)
        page.wait_for_function("window.received.length >= 2")
        assert ended(service, turn_id)
        eventually_sync(lambda: received(page) == values(service))
        assert [event["data"]["value"] for event in received(page)] == [1, 2, 3, 4, 5]
        assert page.evaluate("window.errors") == 0


def test_killed_and_started_again(tmp_path: Path, page: Page) -> None:
    """Chromium comes back by itself, with the id of the last event that it saw."""
    with serving(tmp_path, "--demo") as service:
        page.goto(f"{service.url}/healthz")
        page.evaluate(LISTEN)
        post(service, 1000, 0.005)
        last = post(service, 20, 0.01)
        page.wait_for_function("window.received.length >= 50")
        service.restart()
        assert ended(service, last)
        eventually_sync(lambda: len(received(page)) >= len(values(service)), timeout=20)
        shown = received(page)
        assert shown == values(service), json.dumps([event["seq"] for event in shown])
        assert page.evaluate("window.errors") >= 1
        assert [event["data"]["value"] for event in shown[-20:]] == list(range(1, 21))
        service.restart()
        again = post(service, 3, 0.01)
        assert ended(service, again)
        eventually_sync(lambda: received(page) == values(service), timeout=20)
        assert page.evaluate("window.stream.readyState") == 1
