"""Requests that a naive service answers with 500, or half stores: each is refused, and nothing is written."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.caller import Caller, calling
from tests.faults.conftest import AGENTS
from tests.follower import following
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

BODIES = {
    "NaN": b'{"tool":"echo","args":[NaN]}',
    "Infinity": b'{"tool":"echo","args":[-Infinity]}',
    "an overflow": b'{"tool":"echo","args":[1e999]}',
    "a lone surrogate": b'{"tool":"echo","args":["\\ud800"]}',
    "a lone surrogate as a key": b'{"tool":"echo","kwargs":{"\\udc00":1}}',
    "an encoded surrogate": b'{"tool":"echo","args":["\xed\xa0\x80"]}',
    "bad UTF-8": b'{"tool":"echo","args":["\xff"]}',
    "a byte order mark": b'\xef\xbb\xbf{"tool":"echo","args":[1]}',
    "UTF-16": '{"tool":"echo","args":[1]}'.encode("utf-16"),
    "deep": b'{"tool":"echo","args":[' + b"[" * 900 + b"]" * 900 + b"]}",
    "very deep": b"[" * 100_000,
    "very deep objects": b'{"a":' * 100_000,
    "just too deep": b'{"tool":"echo","args":[' + b"[" * 63 + b"]" * 63 + b"]}",
    "a huge integer": b'{"tool":"echo","args":[' + b"9" * 5_000 + b"]}",
    "cut off": b'{"tool":"echo","args":[1',
    "empty": b"",
    "nothing but white space": b"  \n",
    "a list": b"[]",
    "a string": b'"echo"',
    "two values": b'{"tool":"echo","args":[1]}{}',
    "a raw control character": b'{"tool":"echo","args":["\n"]}',
    "an unknown field": b'{"tool":"echo","args":[1],"priority":1}',
    "no tool": b"{}",
    "a tool that is a number": b'{"tool":1}',
    "a dunder": b'{"tool":"__init__"}',
    "an import": b'{"tool":"os.system","args":["true"]}',
    "a tool of another agent": b'{"tool":"gated","args":["/"]}',
    "too many arguments": b'{"tool":"echo","args":[1,2]}',
    "an unknown argument": b'{"tool":"echo","kwargs":{"value":1,"self":2}}',
    "no arguments": b'{"tool":"echo"}',
    "an unknown dynamic": b'{"tool":"echo","args":[{"$dynamic":"os.getcwd"}]}',
    "no timeout": b'{"tool":"echo","args":[1],"timeout":0}',
    "an endless timeout": b'{"tool":"echo","args":[1],"timeout":1e9}',
    "a negative delay": b'{"tool":"echo","args":[1],"delay":-1}',
    "an early time": b'{"tool":"echo","args":[1],"not_before":"0001-01-01T00:00:00Z"}',
    "a time without a zone": b'{"tool":"echo","args":[1],"not_before":"2030-01-01T00:00:00"}',
    "just too large": b'{"tool":"echo","args":["' + b"x" * 1_048_577 + b'"]}',
}


def assert_problem(status: int, content_type: str, text: str) -> None:
    assert 400 <= status < 500, (status, text[:300])
    assert content_type == "application/problem+json"
    assert not [word for word in ("Traceback", "site-packages", ".py", "SELECT", "INSERT") if word in text]


@pytest.mark.parametrize("name", BODIES)
async def test_bodies(caller: Caller, name: str) -> None:
    agent = await caller.make_agent("echo")
    answer = await caller.http.post(
        f"/agents/{agent}/turns", content=BODIES[name], headers={"Content-Type": "application/json"}
    )
    assert_problem(answer.status_code, answer.headers["Content-Type"], answer.text)
    found = await caller.agent(agent)
    assert (found["latest"], found["queued"], found["status"]) == (1, 0, "idle")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Idempotency-Key": ""},
        {"Content-Type": "application/json", "Idempotency-Key": "a b"},
        {"Content-Type": "application/json", "Idempotency-Key": b"\xe9"},
        {"Content-Type": "application/json", "Idempotency-Key": "x" * 256},
        {"Content-Type": "application/json", "Origin": "null"},
        {"Content-Type": "application/json", "Origin": "http://evil.example"},
        {"Content-Type": "application/json", "Host": "evil.example"},
    ],
)  # fmt: skip
async def test_headers(caller: Caller, headers: dict[str, str | bytes]) -> None:
    agent = await caller.make_agent("echo")
    lines = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers.items()]
    answer = await caller.http.post(f"/agents/{agent}/turns", content=b'{"tool":"echo","args":[1]}', headers=lines)
    assert_problem(answer.status_code, answer.headers["Content-Type"], answer.text)
    assert (await caller.agent(agent))["latest"] == 1


CURSORS = [b"99999999999999999999999", b"abc", b"-5", b"1_0", b"+1", b"1.0", b"\xe9", b"0x1", b"1,2", b"1 2"]


@pytest.mark.parametrize("cursor", CURSORS)
async def test_cursors(caller: Caller, cursor: bytes) -> None:
    agent = await caller.make_agent("echo")
    answer = await caller.http.get(f"/agents/{agent}/stream", headers=[(b"Last-Event-ID", cursor)])
    assert answer.status_code == 400
    assert_problem(answer.status_code, answer.headers["Content-Type"], answer.text)
    for path in ("stream", "events"):
        answer = await caller.http.get(f"/agents/{agent}/{path}", params={"after": cursor.decode("latin-1")})
        assert 400 <= answer.status_code < 500, answer.text


async def test_an_empty_cursor_is_none(service: Service, caller: Caller) -> None:
    agent = await caller.make_agent("echo")
    async with following(f"{service.url}/agents/{agent}/stream", cursor="") as follower:
        assert follower.status == 200
        assert [event["type"] for event in await follower.until(1)] == ["agent.created"]


PATHS = [
    "%2e%2e", "%00", "a%00b", "%0d%0aX:y", "%ff", "%2F", "a%2Fb", ".", "a.b", "-a", "_a", "a" * 65, "%F0%9F%98%80",
    "a b", "%25",
]  # fmt: skip
STRANGE: list[Any] = [
    "\x00", "\x7f", "\ufffe", 2**63, -(2**70), 1e308, 5e-324, "", [], {"": {"": ""}}, "\U0010ffff", [[[[]]]],
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_names(service: Service, caller: Caller, path: str) -> None:
    """Sent as they are: a client's library would tidy some of them."""
    before = (await caller.http.get("/agents")).json()
    for method, body in (("GET", ""), ("POST", '{"tool":"echo","args":[1]}')):
        for end in ("", "/turns", "/stream", "/events"):
            head = f"{method} /agents/{path}{end} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            answer = await _raw(service, (head + body).encode())
            assert answer.startswith(b"HTTP/1.1 4"), answer[:300]
            assert b"X:y" not in answer.partition(b"\r\n\r\n")[0].splitlines()
    assert (await caller.http.get("/agents")).json() == before


async def _raw(service: Service, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.transport.abort()
    return answer


async def test_what_json_allows_is_kept(caller: Caller) -> None:
    """Strange but valid: stored and given back as it came."""
    agent = await caller.make_agent("echo")
    for value in STRANGE:
        assert (await caller.do(agent, "echo", args=[value]))["output"] == value


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("keyed"), AGENTS, settings={"admin_key": "k" * 32}) as service:
        yield service


@pytest.mark.parametrize("authorization", [b"Bearer \xe9", b"Bearer", b"", b"Basic eDp5", b"Bearer " + b"x" * 5000])
async def test_keys(keyed: Service, authorization: bytes) -> None:
    async with calling(keyed.url) as caller:
        for path in ("/agents", "/agents/coded/stream", "/openapi.json", "/no/such/path"):
            answer = await caller.http.get(path, headers=[(b"Authorization", authorization)])
            assert answer.status_code == 401
            assert_problem(answer.status_code, answer.headers["Content-Type"], answer.text)
