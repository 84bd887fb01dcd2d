"""A page without a key, with a ticket in the address of a plain ``EventSource``: live, over a kill -9, and its end."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.helpers import eventually_sync
from tests.service import Service, serving

pytestmark = pytest.mark.browser

LISTEN = """ticket => {
    window.received = []
    window.errors = 0
    window.stream = new EventSource('/agents/counter/stream?ticket=' + ticket)
    window.stream.addEventListener('turn.value', e => window.received.push(JSON.parse(e.data).data.value))
    window.stream.addEventListener('error', () => window.errors++)
}"""
OPEN, CLOSED = 1, 2


def ask(service: Service, path: str, body: Any = None, *, key: str | None = None, method: str = "POST") -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    answer = httpx.request(method, service.url + path, json=body, headers=headers, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def test_a_ticket_admits_one_stream_for_as_long_as_its_key_is_valid(tmp_path: Path, page: Page) -> None:
    with serving(tmp_path, "--demo") as service:
        root = ask(service, "/keys", {"scopes": ["admin"]})["key"]
        desk = ask(service, "/keys", {"scopes": ["stream:read@counter"]}, key=root)
        ticket = ask(service, "/stream-tickets", {"agents": ["counter"]}, key=desk["key"])["ticket"]
        page.goto(f"{service.url}/healthz")
        page.evaluate(LISTEN, ticket)

        def count(to: int) -> None:
            ask(service, "/agents/counter/turns", {"tool": "count", "kwargs": {"to": to, "delay": 0.01}}, key=root)

        count(3)
        page.wait_for_function("window.received.length == 3")
        service.restart()
        count(2)
        eventually_sync(lambda: page.evaluate("window.received") == [1, 2, 3, 1, 2], timeout=20)
        assert page.evaluate("window.stream.readyState") == OPEN

        ask(service, f"/keys/{desk['id']}", key=root, method="DELETE")
        page.wait_for_function(f"window.stream.readyState == {CLOSED}", timeout=20_000)
        count(1)
        assert page.evaluate("window.received") == [1, 2, 3, 1, 2]
