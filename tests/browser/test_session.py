"""A page of the service's own origin, signed in by a cookie that it cannot read; and a page of another port.

That is the same site for a browser: it sends the cookie there and back, ``SameSite=Strict`` or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.helpers import eventually_sync
from tests.service import Service, serving

pytestmark = pytest.mark.browser

KEY = "the-key-of-the-settings"
ASK = """async ([method, path, body]) => {
    const sent = body === null ? {} : {body: JSON.stringify(body), headers: {'Content-Type': 'application/json'}}
    return (await fetch(path, {method, ...sent})).status
}"""
LISTEN = """() => {
    window.received = []
    window.stream = new EventSource('/agents/counter/stream')
    window.stream.addEventListener('turn.value', e => window.received.push(JSON.parse(e.data).data.value))
}"""
ATTACK = """async ([service, options]) => {
    try {
        const answer = await fetch(service, {credentials: 'include', ...options})
        return answer.type == 'opaque' ? 'opaque' : await answer.text()
    } catch { return 'refused' }
}"""
SUBMIT_FORM = """([address, type]) => {
    const form = document.createElement('form')
    Object.assign(form, {method: 'POST', action: address, enctype: type, target: 'away'})
    const field = document.createElement('input')
    Object.assign(field, {name: '{"tool":"count","kwargs":{"to":1},"metadata":{"a":"', value: '"}}'})
    form.append(field)
    document.body.append(form)
    form.submit()
}"""
STREAM = """address => new Promise(done => {
    const stream = new EventSource(address, {withCredentials: true})
    stream.onopen = () => done('open')
    stream.onerror = () => { if (stream.readyState == EventSource.CLOSED) done('refused') }
})"""
TURN = {"tool": "count", "kwargs": {"to": 3, "delay": 0.01}}
CLOSED = 2


class Elsewhere(BaseHTTPRequestHandler):
    """Another service of the same machine. ``cookies`` are those that browsers have sent it."""

    cookies: list[str]

    def do_GET(self) -> None:
        self.cookies.append(self.headers.get("Cookie", ""))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><iframe name=away></iframe>")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    cookies: list[str] = []
    handler = type("Handler", (Elsewhere,), {"cookies": cookies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", cookies
        server.shutdown()


def turns(service: Service) -> int:
    headers = {"X-API-Key": KEY}
    return len(httpx.get(f"{service.url}/agents/counter/turns", headers=headers, trust_env=False).json()["items"])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, "--demo", settings={"admin_key": KEY, "access_log": "all"}) as service:
        yield service


@pytest.fixture
def signed_in(service: Service, page: Page) -> Page:
    page.goto(f"{service.url}/healthz")
    assert page.evaluate(ASK, ["GET", "/session", None]) == 401
    assert page.evaluate(ASK, ["POST", "/session", {"key": "wrong"}]) == 401
    assert page.evaluate(ASK, ["POST", "/session", {"key": KEY}]) == 201
    return page


def test_the_own_page_reads_listens_and_writes(service: Service, signed_in: Page) -> None:
    page = signed_in
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate(ASK, ["GET", "/session", None]) == 200
    page.evaluate(LISTEN)
    assert page.evaluate(ASK, ["POST", "/agents/counter/turns", TURN]) == 202
    page.wait_for_function("window.received.length == 3")
    service.restart()
    assert page.evaluate(ASK, ["POST", "/agents/counter/turns", TURN]) == 202
    eventually_sync(lambda: page.evaluate("window.received") == [1, 2, 3, 1, 2, 3])
    assert page.evaluate(ASK, ["DELETE", "/session", None]) == 204
    page.wait_for_function(f"window.stream.readyState == {CLOSED}", timeout=20_000)
    assert page.evaluate(ASK, ["GET", "/session", None]) == 401
    assert not page.context.cookies()


def test_the_documentation_can_be_read(service: Service, signed_in: Page) -> None:
    refused: list[int] = []
    signed_in.on("response", lambda answer: refused.append(answer.status) if answer.status >= 400 else None)
    for path in ("/docs", "/guide/security"):
        answer = signed_in.goto(service.url + path)
        assert answer is not None
        assert answer.status == 200
        signed_in.wait_for_load_state("networkidle")
    assert not refused


def test_a_page_of_another_port_can_do_none_of_it(service: Service, signed_in: Page) -> None:
    page, turns_path = signed_in, f"{service.url}/agents/counter/turns"
    before = turns(service)
    body = '{"tool":"count","kwargs":{"to":1}}'
    with elsewhere() as (url, cookies):
        page.goto(url)
        assert f"pygents-{service.port}=pys_" in cookies[0], "its browser does send the cookie there"
        for options in (
            {"method": "POST", "mode": "no-cors", "body": body},
            {"method": "POST", "body": body},
            {"method": "POST", "body": body, "headers": {"Content-Type": "application/json"}},
            {"method": "DELETE"},
        ):
            assert page.evaluate(ATTACK, [turns_path, options]) in {"opaque", "refused"}
            assert page.evaluate(ATTACK, [f"{service.url}/session", options]) in {"opaque", "refused"}
        for mode in ("cors", "no-cors"):
            assert page.evaluate(ATTACK, [turns_path, {"mode": mode}]) in {"opaque", "refused"}
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            page.evaluate(SUBMIT_FORM, [turns_path, kind])
        assert page.evaluate(STREAM, f"{service.url}/agents/counter/stream") == "refused"
        posts = "POST /agents/counter/turns "
        eventually_sync(lambda: service.log.count(posts) >= 5)
        answered = [line.partition(posts)[2][:3] for line in service.log.splitlines() if posts in line]
        assert set(answered) == {"403"}
        assert "GET /agents/counter/turns 401" in service.log, "the cookie counts for nothing there"
        assert "GET /agents/counter/stream 401" in service.log
    page.goto(f"{service.url}/healthz")
    assert page.evaluate(ASK, ["GET", "/session", None]) == 200, "nor was anybody signed out"
    assert turns(service) == before
