"""Bytes that no honest client sends: each ends as a 4xx, nothing is stored, and the service lives on."""

import resource
from collections.abc import Iterator

import pytest

from tests.app.api.serving import Served
from tests.app.api.test_bodies import REFUSED

HEADERS = b"Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
MEBIBYTE = 1024 * 1024

# As they stand in a request line: what a client would quote is quoted already.
PATHS = (
    b"/agents/%2e%2e", b"/agents/..", b"/agents/%00", b"/agents/a%00b", b"/agents/a%0d%0aX:y", b"/agents/%ff",
    b"/agents/a%2Fb", b"/agents/%2F", b"/agents//turns", b"/agents/", b"/agents/a/", b"//agents", b"/agents/%",
    b"/agents/%zz", b"/agents/\xff", b"/turns/%2e%2e", b"/turns/a%00", b"/tools/%2e%2e", b"/tools/%00",
    b"/tools/__init__", b"/agents/" + b"a" * 10_000, b"/%2e%2e/etc/passwd", b"/docs/../etc/passwd",
    b"/agents/%C3%A9", b"/agents;x=1", b"/healthz/",
)  # fmt: skip


def statuses(answer: bytes) -> list[int]:
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.fixture
def unchanged(service: Served) -> Iterator[str]:
    """An agent that must be just as it was afterwards, and the service well."""
    agent = service.create()
    before = service.get(f"/agents/{agent}"), service.get("/agents?limit=1000")
    yield agent
    assert (service.get(f"/agents/{agent}"), service.get("/agents?limit=1000")) == before
    assert service.get("/readyz") == {"status": "ok"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_paths(service: Served, unchanged: str, method: bytes, path: bytes) -> None:
    (status,) = statuses(
        service.raw(method + b" " + path + b" HTTP/1.1\r\n" + HEADERS + b"Content-Length: 2\r\n\r\n{}")
    )
    assert 400 <= status < 500


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_bodies(service: Served, unchanged: str, body: bytes) -> None:
    for path in (f"/agents/{unchanged}/turns".encode(), b"/agents"):
        head = b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" % (path, HEADERS, len(body))
        answer = service.raw(head + body)
        assert statuses(answer) == [400 if len(body) <= service.app.state.services.settings.max_body else 413]
        assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /agents HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n",
        b"GET /agents HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /agents?limit=%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /agents?%00=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /agents?=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/agents HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"POST /agents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n0\r\n\r\n",
        b"POST /agents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n"
        b"Connection: close\r\n\r\n{}",
        b"DELETE /agents HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"PUT /agents/x/turns HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"BREW /agents HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /agents HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n",
    ],
)
def test_requests(service: Served, unchanged: str, request_: bytes) -> None:
    (status,) = statuses(service.raw(request_))
    assert 400 <= status < 500


@pytest.mark.parametrize(("method", "path", "allowed"), [
    ("DELETE", "/agents", "GET, HEAD, POST"),
    ("PATCH", "/agents/x/turns", "GET, HEAD, POST"),
    ("GET", "/agents/x/turns/y/cancel", "POST"),
    ("POST", "/healthz", "GET, HEAD"),
])  # fmt: skip
def test_other_methods_are_told_what_is_allowed(service: Served, method: str, path: str, allowed: str) -> None:
    answer = service.call(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json()["type"] == "urn:pygents:problem:method-not-allowed"


def test_no_slash_is_redirected(service: Served) -> None:
    for path in ("/agents/", "/tools/", "/docs/", "/openapi.json/"):
        answer = service.call("GET", path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_memory_is_bounded(service: Served) -> None:
    """The server shares this process: 64 MiB of bodies that it refuses must not stay in it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = b" " * (8 * MEBIBYTE)
    for _ in range(8):
        service.call("POST", "/agents", content=body, headers={"Content-Type": "application/json"})
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < len(body) + 20 * MEBIBYTE


@pytest.mark.parametrize("path", ["/agents", "/turns", "/healthz", "/readyz", "/info", "/limits", "/tools", "/docs",
                                  "/guide/", "/openapi.json", "/agents/{agent}", "/agents/{agent}/turns",
                                  "/agents/{agent}/events"])  # fmt: skip
def test_head_is_answered_as_get_without_content(service: Served, path: str) -> None:
    """RFC 9110 §9.3.2. Probes and link checkers use it."""
    where = path.format(agent=service.create())
    get, head = service.call("GET", where), service.call("HEAD", where)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("path", ["/agents/{agent}/stream", "/agents/nobody/stream", "/agents/nobody", "/nothing"])
def test_head_of_streams_and_of_what_is_not_there_comes_to_an_end(service: Served, path: str) -> None:
    found = "{agent}" in path
    answer = service.call("HEAD", path.format(agent=service.create()))
    assert (answer.status_code, answer.content) == (200 if found else 404, b"")
