"""Pages of other origins: those that are named may use the service, and no others."""

from collections.abc import Iterator

import pytest

from pygents_app.settings import Settings
from tests.app.api.serving import Served, serving
from tests.app.api.test_guard import problem

APP, DESK = "https://app.example.org", "http://localhost:3000"
KEY = "a-key-for-the-tests-0123456789"
FOREIGN = (
    "https://evil.example", "null", "https://sub.app.example.org", "https://app.example.org.evil.example", "",
    "http://app.example.org", "https://app.example.org:444", "HTTPS://APP.EXAMPLE.ORG", "https://app.example.org/", "*",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    with serving(Settings.model_validate({"admin_key": KEY, "cors_origins": f"{APP}, {DESK}"})) as served:
        yield served


def preflight(served: Served, origin: str, path: str = "/agents/a/turns", **headers: str) -> dict[str, str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
    answer = served.call("OPTIONS", path, headers=asked)
    return {"status": str(answer.status_code), **answer.headers}


@pytest.mark.parametrize("origin", [APP, DESK])
def test_a_named_origin_may(shared: Served, origin: str) -> None:
    asked = preflight(shared, origin)
    assert (asked["status"], asked["access-control-allow-origin"], asked["vary"]) == ("204", origin, "origin")
    assert "POST" in asked["access-control-allow-methods"]
    for header in ("authorization", "x-api-key", "idempotency-key", "last-event-id", "content-type"):
        assert header in asked["access-control-allow-headers"]
    agent = shared.create()
    headers = {"Origin": origin, "X-API-Key": KEY}
    answer = shared.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"}, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["access-control-allow-origin"] == origin
    assert "location" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_so_can_it_read_why_it_was_refused(shared: Served) -> None:
    answer = shared.call("GET", "/agents", headers={"Origin": APP})
    problem(answer, "unauthorized")
    assert answer.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize("origin", FOREIGN)
def test_no_other_may(shared: Served, origin: str) -> None:
    asked = preflight(shared, origin)
    assert asked["status"] != "204"
    headers = {"Origin": origin, "X-API-Key": KEY}
    read = shared.call("GET", "/agents", headers=headers)
    for found in (asked, read.headers):
        assert not [name for name in found if name.startswith("access-control")]
        assert found["vary"] == "origin"
    problem(shared.call("POST", "/agents", json={}, headers=headers), "foreign-origin")


def test_two_origins_are_none(shared: Served) -> None:
    answer = shared.call("GET", "/agents", headers=[("Origin", APP), ("Origin", DESK), ("X-API-Key", KEY)])
    assert "access-control-allow-origin" not in answer.headers


def test_a_preflight_to_a_foreign_host_is_misdirected(shared: Served) -> None:
    assert preflight(shared, APP, Host="evil.example")["status"] == "421"


def test_by_default_no_origin_may(service: Served) -> None:
    asked = preflight(service, APP)
    assert asked["status"] == "405"
    answer = service.call("GET", "/agents", headers={"Origin": APP})
    for found in (asked, answer.headers):
        assert not [name for name in found if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "app.example.org", "https://app.example.org/", "https://*.example.org", "https://App.example"],
)
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValueError, match="exact origins"):
        Settings.model_validate({"cors_origins": origin})
