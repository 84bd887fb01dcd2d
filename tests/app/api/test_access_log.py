"""The access log: which requests have a line, and what is in it."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import httpx
import pytest

from pygents_app.api import problems
from pygents_app.api.access_log import FIRST_OF_A_SECOND, MOST_PATH, ONE_IN, AccessLog, Wanted
from pygents_app.errors import Damaged, Unavailable
from pygents_app.settings import Settings
from tests.helpers import eventually_sync
from tests.service import Service, serving


class Log:
    """An access log whose clock stands still until a test moves it; ``lines`` are what it has written."""

    def __init__(self, wanted: Wanted, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 100.0
        self._log, self._caplog = AccessLog(wanted, clock=lambda: self.now), caplog
        caplog.set_level(logging.INFO, logger="pygents.access")

    @property
    def lines(self) -> list[Any]:
        return self._caplog.records

    def note(self, status: int = 200, path: str = "/agents", *, seconds: float = 0.001, **scope: Any) -> None:
        asked = {"method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "pygents.heads": {}}
        given: Any = SimpleNamespace(status=status, size=5, headers=[])
        self._log.note({**asked, **scope}, given, seconds)


class TestWhichHaveALine:
    @pytest.mark.parametrize("wanted", [each for each in get_args(Wanted) if each != "off"])
    def test_errors_and_slow_ones_always(self, wanted: Wanted, caplog: pytest.LogCaptureFixture) -> None:
        log = Log(wanted, caplog)
        for _ in range(3 * FIRST_OF_A_SECOND):
            log.note(507, "/readyz")
            log.note(seconds=1.5)
        assert len(log.lines) == 6 * FIRST_OF_A_SECOND
        assert {line.levelname for line in log.lines} == {"WARNING"}

    @pytest.mark.parametrize("wanted", [each for each in get_args(Wanted) if each != "off"])
    def test_of_a_503_the_first_of_a_second(self, wanted: Wanted, caplog: pytest.LogCaptureFixture) -> None:
        """It befalls all requests while a store or an issuer is not there, of strangers, too."""
        log = Log(wanted, caplog)
        for _ in range(5 * FIRST_OF_A_SECOND):
            log.note(503, "/readyz")
        assert len(log.lines) == FIRST_OF_A_SECOND
        assert {line.levelname for line in log.lines} == {"WARNING"}

    @pytest.mark.parametrize("scope", [{"query_string": b"wait=30"}, {"pygents.heads": {b"prefer": [b"wait=10"]}}])
    def test_one_that_was_to_wait_is_not_slow(self, scope: Any, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("errors", caplog)
        log.note(seconds=20, **scope)
        assert not log.lines

    @pytest.mark.parametrize("status", [0, 200, 404, 429])
    def test_only_errors(self, status: int, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("errors", caplog)
        log.note(status)
        assert not log.lines

    def test_none(self, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("off", caplog)
        log.note(500)
        assert not log.lines

    def test_all(self, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("all", caplog)
        for _ in range(1000):
            log.note(path="/metrics")
        assert len(log.lines) == 1000

    def test_few_a_second_have_one_each(self, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("sampled", caplog)
        for _ in range(10 * FIRST_OF_A_SECOND):
            log.now += 1 / FIRST_OF_A_SECOND
            log.note()
        assert len(log.lines) == 10 * FIRST_OF_A_SECOND

    def test_of_many_a_second_some(self, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("sampled", caplog)
        for _ in range(1000):
            log.note()
        assert len(log.lines) == FIRST_OF_A_SECOND + 1000 // ONE_IN
        assert log.lines[FIRST_OF_A_SECOND].pygents_about["unlogged"] == ONE_IN - FIRST_OF_A_SECOND - 1
        log.now += 1
        log.note()
        assert len(log.lines) == FIRST_OF_A_SECOND + 1000 // ONE_IN + 1
        log.note()
        assert log.lines[-1].pygents_about["unlogged"] is None, "they are told once"

    def test_probes_hide_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("sampled", caplog)
        for path in ("/healthz", "/readyz", "/metrics"):
            log.note(path=path)
        assert not log.lines
        log.note()
        assert log.lines[0].pygents_about["unlogged"] is None
        log.note(401, "/metrics")
        assert [line.status for line in log.lines] == [200, 401], "a scrape that is refused is seen"

    def test_a_level_that_is_not_logged_is_not_formatted(self, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("all", caplog)
        caplog.set_level(logging.WARNING, logger="pygents.access")
        log.note()
        log.note(500)
        assert [line.status for line in log.lines] == [500]


def test_a_long_path_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    log = Log("all", caplog)
    log.note(path="/" + "x" * 60_000)
    assert len(log.lines[0].path) == MOST_PATH


def test_the_default() -> None:
    assert Settings().access_log == "sampled"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"log_format": "json", "access_log": "all", "admin_key": "correct-horse-battery"}
    with serving(tmp_path_factory.mktemp("access"), "--demo", settings=settings) as service:
        yield service


def line_of(service: Service, method: str, path: str, **options: Any) -> dict[str, Any]:
    """What is logged of a request, whatever its answer is."""
    mark = f"r-{method}-{abs(hash((path, str(options))))}"
    headers = {"X-Request-Id": mark, "X-API-Key": "correct-horse-battery"} | options.pop("headers", {})
    with httpx.stream(method, service.url + path, headers=headers, trust_env=False, timeout=20, **options) as answer:
        if answer.headers.get("content-type") != "text/event-stream":
            answer.read()

        def found() -> Any:
            lines = (json.loads(line) for line in service.log.splitlines())
            return next((line for line in lines if line.get("request") == mark), None)

        line: dict[str, Any] = eventually_sync(found)
        assert line["status"] == answer.status_code
        assert line["method"] == method
        return line


class TestALine:
    @pytest.mark.parametrize(
        ("method", "path", "route", "status"),
        [
            ("GET", "/agents", "/agents", 200),
            ("GET", "/agents/greeter", "/agents/{name}", 200),
            ("HEAD", "/agents/greeter", "/agents/{name}", 200),
            ("GET", "/agents/greeter/stream", "/agents/{name}/stream", 200),
            ("GET", "/agents/greeter/events", "/agents/{name}/events", 200),
            ("GET", "/agents/nobody/turns/x/stream", "/agents/{name}/turns/{turn_id}/stream", 404),
            ("POST", "/agents/greeter/turns", "/agents/{name}/turns", 415),
            ("POST", "/agents/greeter/turns/batch", "/agents/{name}/turns/batch", 415),
            ("DELETE", "/agents", "/agents", 405),
            ("GET", "/nowhere", "", 404),
            ("GET", "/guide/tools", "/guide/{page}", 200),
            ("HEAD", "/openapi.json", "/openapi.json", 200),
            ("GET", "/healthz", "/healthz", 200),
        ],
    )
    def test_says_which_route_was_asked(
        self, service: Service, method: str, path: str, route: str, status: int
    ) -> None:
        line = line_of(service, method, path)
        assert (line["path"], line["route"], line["status"]) == (path, route, status)
        assert 0 < line["seconds"] < 20

    def test_has_the_turn_that_was_accepted(self, service: Service) -> None:
        body = {"tool": "greet", "kwargs": {"name": "World"}}
        line = line_of(service, "POST", "/agents/greeter/turns", json=body)
        assert (line["agent"], line["status"]) == ("greeter", 202)
        assert re.fullmatch("[0-9a-f-]{36}", line["turn"])

    def test_counts_the_content(self, service: Service) -> None:
        answer = httpx.get(f"{service.url}/healthz", trust_env=False)
        assert line_of(service, "GET", "/healthz")["bytes"] == len(answer.content)

    def test_never_has_the_query(self, service: Service) -> None:
        line = line_of(service, "GET", "/agents/greeter/stream?ticket=canary-1&after=0")
        assert "canary-1" not in json.dumps(line)

    def test_has_the_path_as_it_was_sent(self, service: Service) -> None:
        assert line_of(service, "GET", "/a%0d%0aforged%1b%5b2J")["path"] == "/a%0d%0aforged%1b%5b2J"

    def test_tells_of_a_refusal_at_the_door(self, service: Service) -> None:
        line = line_of(service, "GET", "/agents", headers={"X-API-Key": "wrong-key-of-16-letters"})
        assert (line["status"], line["route"]) == (401, "")
        assert "wrong-key" not in service.log
        assert "caller" not in line

    @pytest.mark.parametrize(("key", "address"), [("wrong-key-of-16-letters", "127.0.0.1"), (None, None)])
    def test_says_where_a_refused_request_came_from(
        self, service: Service, key: str | None, address: str | None
    ) -> None:
        line = line_of(service, "GET", "/limits", headers={"X-API-Key": key} if key else {})
        assert line.get("address") == address

    def test_names_the_caller(self, service: Service) -> None:
        assert line_of(service, "GET", "/agents")["caller"] == "admin"

    def test_names_a_key_by_its_id_also_where_it_was_not_enough(self, service: Service) -> None:
        made = httpx.post(
            f"{service.url}/keys", json={"scopes": ["agents:read@greeter"]}, trust_env=False,
            headers={"X-API-Key": "correct-horse-battery"},
        ).json()  # fmt: skip
        for path, status in (("/agents/greeter", 200), ("/metrics", 403)):
            line = line_of(service, "GET", path, headers={"X-API-Key": made["key"]})
            assert (line["status"], line["caller"]) == (status, made["id"])
        assert made["key"] not in service.log


def test_in_the_form_for_people(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as service:
        httpx.get(f"{service.url}/agents?limit=1", headers={"X-Request-Id": "r-9"}, trust_env=False)
        line = re.compile(
            r"INFO     pygents.access: GET /agents 200, [\d.]+ ms, \d+ bytes \[request=r-9\]$", re.MULTILINE
        )
        eventually_sync(lambda: line.search(service.log))


def test_what_passes_by_itself_is_logged_once_a_second(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It befalls every request while it lasts. What is stored wrong is told each time."""
    monkeypatch.setattr(problems, "monotonic", iter((5.0, 5.1, 5.9, 6.0)).__next__)
    monkeypatch.setattr(problems, "_told", {})
    for _ in range(4):
        assert problems.answer_of(Unavailable("no keys yet")).status_code == 503
        problems.answer_of(Damaged("it"))
    assert [line.getMessage().partition(":")[0] for line in caplog.records].count("unavailable") == 2
    assert [line.getMessage().partition(":")[0] for line in caplog.records].count("damaged") == 4
