"""Probes, facts, tools, pages."""

import re
from typing import Any

import pytest

from pygents_app.api.limits import limits_of
from pygents_app.errors import Unavailable
from pygents_app.settings import Settings
from tests.app.api.serving import NODE, Served
from tests.app.api.test_guard import problem


class TestReady:
    def test_well(self, service: Served) -> None:
        assert service.get("/readyz") == {"status": "ok"}

    def test_draining(self, service: Served) -> None:
        service.dispatcher.draining = True
        try:
            answer = service.call("GET", "/readyz")
            assert service.get("/healthz") == {"status": "ok"}
        finally:
            service.dispatcher.draining = False
        assert answer.status_code == 503
        assert problem(answer, "unavailable")["reasons"] == ["draining"]

    def test_tools_that_block(self, service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(service.dispatcher, "exhausted", True)
        reasons = problem(service.call("GET", "/readyz"), "unavailable")["reasons"]
        assert reasons == ["tools block too many event loops"]

    def test_a_store_that_fails(self, service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fail() -> None:
            raise Unavailable("no disk")

        monkeypatch.setattr(service.app.state.readiness, "_check", fail)
        monkeypatch.setattr(service.app.state.readiness, "_checked_at", float("-inf"))
        assert problem(service.call("GET", "/readyz"), "unavailable")["reasons"] == ["no disk"]
        assert service.get("/healthz") == {"status": "ok"}


@pytest.mark.keeps_open("the thread that makes the text belongs to the server of all tests here")
def test_metrics(service: Served) -> None:
    """As the OpenAPI document describes them; what they say is looked at elsewhere."""
    answer = service.call("GET", "/metrics")
    assert answer.text.startswith("# HELP pygents_info")


def test_info(service: Served) -> None:
    shown = service.get("/info")
    assert shown == {"version": shown["version"], "node": NODE, "engine": "memory", "durability": "full"}


class TestLimits:
    def test_settings_and_fixed_ones(self, service: Served) -> None:
        shown = service.get("/limits")
        assert (shown["body_bytes"], shown["mailbox_turns"], shown["chain_hops"]) == (64 * 1024, 1000, 32)
        fixed = {
            "nesting_levels": 64, "value_bytes": 256 * 1024, "turn_values": 100_000, "timeout_seconds": 86_400,
            "inline_bytes": 64 * 1024, "page_items": 1000, "wait_seconds": 60, "idempotency_key_characters": 255,
        }  # fmt: skip
        assert fixed.items() <= shown.items()

    def test_every_setting_that_bounds_something(self) -> None:
        """Another value of the setting is another value here."""
        usual = limits_of(Settings.model_validate({}))
        for name, field in Settings.model_fields.items():
            if field.annotation in (int, float) and name != "port":
                others = [
                    limits_of(Settings.model_validate({name: field.default + by}))
                    for by in (1, -1)
                    if field.default + by >= 0
                ]
                assert any(usual[key] != other[key] for other in others for key in usual), name

    @pytest.mark.parametrize(
        ("path", "limit"),
        [("/agents?limit={}", "page_items"), ("/agents/a/events?limit={}", "page_items"),
         ("/turns/00000000-0000-0000-0000-000000000000?wait={}", "wait_seconds")],
    )  # fmt: skip
    def test_what_is_listed_is_enforced(self, service: Served, path: str, limit: str) -> None:
        bound = service.get("/limits")[limit]
        assert service.call("GET", path.format(bound + 1)).status_code == 422
        if bound == 1000:
            assert service.call("GET", path.format(bound)).status_code != 422


class TestTools:
    def test_listed(self, service: Served) -> None:
        page: dict[str, Any] = service.get("/tools")
        (shown,) = page["items"]
        assert page["next"] is None
        assert shown["description"] == "Say it again."
        assert (shown["streaming"], shown["lock"]) == (False, False)
        assert shown["input_schema"]["properties"]["text"]["type"] == "string"
        assert service.get(shown["links"]["self"]) == shown

    def test_paged(self, service: Served) -> None:
        assert service.get("/tools?after=zzz") == {"items": [], "next": None}

    @pytest.mark.parametrize("name", ["nothing", "os.system", "__init__", "%00", "%2e%2e"])
    def test_unknown(self, service: Served, name: str) -> None:
        assert service.call("GET", f"/tools/{name}").status_code == 404


class TestDocs:
    def test_the_page_loads_nothing_from_elsewhere(self, service: Served) -> None:
        for path in ("/docs", "/docs.js", "/docs.css"):
            answer = service.call("GET", path)
            assert answer.status_code == 200
            assert "default-src 'self'" in answer.headers["content-security-policy"]
            assert "://" not in answer.text

    def test_it_needs_nothing_inline(self, service: Served) -> None:
        page = service.call("GET", "/docs").text
        assert not re.search(r"<style|\son\w+=|style=|<script(?![^>]*\ssrc=)", page)
        for path in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert service.call("GET", "/" + path).status_code == 200
