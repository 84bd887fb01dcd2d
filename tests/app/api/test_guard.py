"""What every request passes first."""

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from pygents_app.api.guard import bound_hosts
from pygents_app.api.own_address import is_own_address
from pygents_app.settings import Settings
from tests.app.api.conftest import KEY
from tests.app.api.serving import Served, read_all, serving
from tests.service import serving as running

CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"


def problem(answer: Any, slug: str) -> Any:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:pygents:problem:{slug}"
    assert body["status"] == answer.status_code
    assert {"title", "detail"} <= body.keys()
    return body


class TestHost:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "LOCALHOST:1",
            "[::1]",
            "[::1]:8000",
            "agents.example.org",
            "Agents.Example.ORG:443",
        ],
    )
    def test_own_names_are_served(self, service: Served, host: str) -> None:
        assert service.call("GET", "/agents", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "127.0.0.1:8000:1", "user@localhost", "127.0.0.2",
         "localhost:port", "sub.agents.example.org", "[::2]", "a b"],
    )  # fmt: skip
    @pytest.mark.parametrize("path", ["/agents", "/openapi.json", "/docs", "/agents/x/stream", "/nothing"])
    def test_other_names_are_misdirected(self, service: Served, host: str, path: str) -> None:
        problem(service.call("GET", path, headers={"Host": host}), "misdirected-host")

    def test_two_hosts_are_none(self, service: Served) -> None:
        answer = service.raw(b"GET /agents HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))

    def test_probes_ask_for_no_name(self, service: Served) -> None:
        for path in ("/healthz", "/readyz"):
            assert service.call("GET", path, headers={"Host": "10.0.0.7:8000"}).status_code == 200

    def test_the_address_that_it_has_come_to(self, tmp_path: Path) -> None:
        """As Prometheus scrapes a pod. Another address, another port and a name are none."""
        settings = {"host": "0.0.0.0", "insecure": "true", "allowed_hosts": "agents.example.org"}  # noqa: S104
        with running(tmp_path, "--demo", settings=settings) as service:
            url, port = f"http://127.0.0.2:{service.port}/metrics", service.port
            for host, status in (
                (f"127.0.0.2:{port}", 200), (f"127.0.0.3:{port}", 421), ("127.0.0.2", 421),
                (f"127.0.0.2:{port + 1}", 421), (f"evil.example:{port}", 421), ("agents.example.org", 200),
            ):  # fmt: skip
                assert httpx.get(url, headers={"Host": host}, trust_env=False).status_code == status, host

    @pytest.mark.parametrize(
        ("server", "host", "own"),
        [(("::ffff:10.0.0.7", 8000), "10.0.0.7:8000", True), (("fd00::7", 8000), "[FD00::7]:8000", True),
         (("10.0.0.7", 80), "10.0.0.7", True), (("10.0.0.7", 8000), "10.0.0.7", False),
         (("/run/pygents.sock", None), "/run/pygents.sock:None", False), (None, "10.0.0.7:8000", False)],
    )  # fmt: skip
    def test_addresses_of_sockets(self, server: object, host: str, own: bool) -> None:
        assert is_own_address({"server": server}, host) is own

    def test_any_name_will_do_where_none_was_told(self, locked: Served) -> None:
        answer = locked.call("GET", "/agents", headers={"Host": "whatever.example", "X-API-Key": KEY})
        assert answer.status_code == 200


class TestBoundHost:
    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("127.0.0.2", {"127.0.0.2"}),
            ("::1", {"[::1]"}),
            ("[0:0:0:0:0:0:0:1]", {"[::1]", "[0:0:0:0:0:0:0:1]"}),
            ("agents.example.org", {"agents.example.org"}),
            ("0.0.0.0", set()),  # noqa: S104
            ("::", set()),
        ],
    )
    def test_the_names_of_an_address(self, host: str, expected: set[str]) -> None:
        assert set(bound_hosts(host)) == expected

    def test_it_is_served_and_others_are_not(self) -> None:
        with serving(Settings.model_validate({"host": "127.0.0.2"})) as served:
            assert served.call("GET", "/agents", headers={"Host": "127.0.0.2:8000"}).status_code == 200
            problem(served.call("GET", "/agents", headers={"Host": "127.0.0.3:8000"}), "misdirected-host")

    def test_beside_the_names_that_were_told(self) -> None:
        settings = {"host": "192.0.2.7", "allowed_hosts": "agents.example.org", "insecure": True}
        with serving(Settings.model_validate(settings)) as served:
            for host, status in (("192.0.2.7", 200), ("agents.example.org", 200), ("192.0.2.8", 421)):
                assert served.call("GET", "/agents", headers={"Host": host}).status_code == status


class TestOrigin:
    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "", "127.0.0.1"])
    def test_foreign_pages_cannot_write(self, service: Served, origin: str) -> None:
        for path in ("/agents", "/agents/x/turns", "/agents/x/turns/y/cancel"):
            problem(service.call("POST", path, json={}, headers={"Origin": origin}), "foreign-origin")

    def test_two_origins_are_foreign_also_if_the_first_is_the_own(self, service: Served) -> None:
        for second in (service.url, "http://evil.example"):
            headers = [("Origin", service.url), ("Origin", second)]
            problem(service.call("POST", "/agents", json={}, headers=headers), "foreign-origin")

    @pytest.mark.parametrize("scheme", ["evil", "file", "chrome-extension", "ws", ""])
    def test_nor_can_what_is_no_page_of_http(self, service: Served, scheme: str) -> None:
        headers = {"Origin": service.url.replace("http", scheme, 1)}
        problem(service.call("POST", "/agents/x/turns", json={}, headers=headers), "foreign-origin")

    def test_the_own_page_can(self, service: Served) -> None:
        agent = service.create()
        service.submit(agent, headers={"Origin": service.url})
        service.submit(agent, headers={"Origin": "https://agents.example.org", "Host": "agents.example.org"})

    def test_reading_is_the_browsers_business(self, service: Served) -> None:
        answer = service.call("GET", "/agents", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


class TestKey:
    GOOD = (
        [("Authorization", f"Bearer {KEY}")],
        [("Authorization", f"bearer  {KEY}")],
        [("X-API-Key", KEY)],
        [("X-API-Key", KEY), ("Authorization", "Basic Zm9vOmJhcg==")],
    )
    BAD: tuple[list[tuple[str, str | bytes]], ...] = (
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", KEY)],
        [("Authorization", f"Basic {KEY}")],
        [("Authorization", f"Bearer {KEY[:-1]}")],
        [("Authorization", f"Bearer {KEY}x")],
        [("Authorization", f"Bearer {KEY} {KEY}")],
        [("Authorization", b"Bearer \xe9")],
        [("Authorization", b"Bearer \xff\xfe" + KEY.encode())],
        [("Authorization", f"Bearer {KEY * 1000}")],
        [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")],
        [("X-API-Key", "")],
        [("X-API-Key", b"\xe9")],
        [("X-API-Key", KEY), ("X-API-Key", KEY)],
        [("X-API-Key", KEY.upper())],
        [("X-API-Key", KEY), ("Authorization", f"Bearer {KEY}")],
        [("X-API-Key", KEY), ("Authorization", "bearer another")],
    )

    @pytest.mark.parametrize("headers", GOOD)
    def test_the_key_opens(self, locked: Served, headers: list[tuple[str, str]]) -> None:
        assert locked.call("GET", "/agents", headers=headers).status_code == 200

    @pytest.mark.parametrize("headers", BAD)
    def test_nothing_else_does(self, locked: Served, headers: list[tuple[str, str]]) -> None:
        answer = locked.call("GET", "/agents", headers=headers)
        problem(answer, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_every_route_asks_for_it(self, locked: Served) -> None:
        document = locked.call("GET", "/openapi.json", headers={"X-API-Key": KEY}).json()
        open_ones = set()
        for path, operations in document["paths"].items():
            for method in operations:
                address = path.format(name="x", id="y", tool="z", problem="p", key="k")
                answer = locked.call(method.upper(), address)
                if answer.status_code != 401:
                    open_ones.add(path)
        assert open_ones == {"/healthz", "/readyz"}
        for path in ("/docs", "/docs.js", "/openapi.json", "/nothing", "/agents?key=" + KEY):
            assert locked.call("GET", path).status_code == 401

    def test_the_caller_scopes_idempotency_and_is_named(self, locked: Served) -> None:
        headers = {"X-API-Key": KEY}
        agent = locked.create()
        turn = locked.submit(agent, headers=headers)
        locked.call("POST", turn["links"]["cancel"], headers=headers)
        events = locked.call("GET", f"/agents/{agent}/events", headers=headers).json()["items"]
        assert events[-1]["data"]["by"] == "admin"


class TestEveryAnswer:
    @pytest.mark.parametrize("path", ["/agents", "/nothing", "/agents/..", "/healthz", "/docs"])
    def test_carries_an_id_and_is_not_stored(self, service: Served, path: str) -> None:
        answer = service.call("GET", path)
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers["x-request-id"]) == 36
        assert answer.headers["x-content-type-options"] == "nosniff"

    def test_a_valid_request_id_is_echoed(self, service: Served) -> None:
        assert service.call("GET", "/agents", headers={"X-Request-Id": "abc/1"}).headers["x-request-id"] == "abc/1"

    @pytest.mark.parametrize("given", ["", "a b", "x" * 129, b"\xe9"])
    def test_another_is_replaced(self, service: Served, given: str) -> None:
        answered = service.call("GET", "/agents", headers={"X-Request-Id": given}).headers["x-request-id"]
        assert len(answered) == 36

    def test_a_defect_tells_nothing(self, service: Served) -> None:
        agent = service.create("explode")
        answer = service.call("POST", f"/agents/{agent}/turns", json={"tool": "explode"})
        body = problem(answer, "internal")
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] in body["detail"]
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        service.get("/healthz")


class TestSize:
    def test_a_told_length_is_refused_before_the_body_is_read(self, service: Served) -> None:
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(
                b"POST /agents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 200000000\r\n\r\n"
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 413")

    def test_the_connection_ends_after_it(self, service: Served) -> None:
        answer = service.raw(
            b"POST /agents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n" + b" " * 70000
        )
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in answer
        assert b"body-too-large" in answer

    def test_an_untold_length_is_counted(self, service: Served) -> None:
        """The body never ends: memory would not, either."""
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(
                b"POST /agents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK * 2
            )
            assert b"HTTP/1.1 413" in connection.recv(100)
            connection.sendall(b"0\r\n\r\n")
            assert b"body-too-large" in read_all(connection)

    def test_a_client_that_sends_it_all_first_sees_the_answer(self, service: Served) -> None:
        answer = service.call("POST", "/agents", content=b" " * 4_000_000, headers={"Content-Type": "application/json"})
        assert problem(answer, "body-too-large")["limit"] == 64 * 1024

    def test_a_chunked_body_within_the_limit_is_fine(self, service: Served) -> None:
        agent = service.create()
        answer = service.call(
            "POST",
            f"/agents/{agent}/turns",
            content=iter([b'{"tool":', b'"echo"}']),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 202

    @pytest.mark.parametrize("length", [b"-1", b"1e3", b"\xd9\xa3", b"99999999999999999999999"])
    def test_lengths_that_are_none(self, service: Served, length: bytes) -> None:
        answer = service.raw(b"POST /agents HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + b"\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


def test_a_client_that_goes_away_in_its_body_harms_nobody(service: Served) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(
            b"POST /agents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
        )
    service.get("/healthz")


def test_websockets_are_refused(service: Served) -> None:
    answer = service.raw(
        b"GET /agents HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert not answer.startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize("path", ["/agents/x/turns%0A", "/agents/x/stream%0A", "/agents%0A", "/healthz%0A"])
def test_a_line_end_behind_an_address_is_another_address(service: Served, path: str) -> None:
    problem(service.call("POST", path, json={"tool": "echo"}), "not-found")
