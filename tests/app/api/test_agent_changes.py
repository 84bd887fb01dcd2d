"""Changing, pausing and deleting agents over HTTP. What the commands do is tested with the stores."""

from typing import Any

import pytest

from pygents_app.clock import new_id
from tests.app.api.serving import Served
from tests.app.api.test_guard import problem

MERGE = {"Content-Type": "application/merge-patch+json"}


class TestPatch:
    def test_the_answer_is_the_agent_as_it_is_now(self, service: Served) -> None:
        agent = service.create(description="old", labels={"x": "1"})
        answer = service.call("PATCH", f"/agents/{agent}", json={"description": "new", "labels": {"x": None, "y": "2"}})
        assert answer.status_code == 200
        shown = answer.json()
        assert (shown["description"], shown["labels"], shown["tools"]) == ("new", {"y": "2"}, ["echo"])
        assert service.get(f"/agents/{agent}") == shown
        assert shown["updated_at"] > shown["created_at"]

    def test_the_media_type_of_merge_patches(self, service: Served) -> None:
        agent = service.create()
        answer = service.call("PATCH", f"/agents/{agent}", content='{"description":"x"}', headers=MERGE)
        assert answer.json()["description"] == "x"

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"tools": None}, "/tools"),
            ({"tools": ["nothing"]}, "/tools/0"),
            ({"tools": "echo"}, "/tools"),
            ({"hooks": {"before_turn": ["nothing"]}}, "/hooks/before_turn/0"),
            ({"hooks": {"whenever": []}}, "/hooks/whenever"),
            ({"hooks": {"before_turn": "h"}}, "/hooks/before_turn"),
            ({"labels": {"a": 1}}, "/labels/a"),
            ({"labels": {str(number): "" for number in range(101)}}, "/labels"),
            ({"description": 1}, "/description"),
            ({"name": "other"}, "/name"),
            ({"memory": {"limit": 5}}, "/memory"),
            ({"source": "code"}, "/source"),
            ({"paused": True}, "/paused"),
        ],
    )
    def test_what_is_not_valid_is_pointed_at(self, service: Served, change: dict[str, Any], pointer: str) -> None:
        agent = service.create()
        answer = service.call("PATCH", f"/agents/{agent}", json=change)
        assert pointer in [each["pointer"] for each in problem(answer, "invalid-request")["errors"]]
        assert service.get(f"/agents/{agent}")["latest"] == 1

    def test_nobody(self, service: Served) -> None:
        problem(service.call("PATCH", f"/agents/n{new_id()}", json={}), "agent-not-found")


class TestPause:
    def test_pause_and_resume(self, service: Served) -> None:
        agent = service.create()
        for _ in range(2):
            answer = service.call("POST", f"/agents/{agent}/pause")
            assert (answer.status_code, answer.json()["paused"], answer.json()["status"]) == (200, True, "paused")
        assert service.submit(agent)["waiting_for"] == "paused"
        for _ in range(2):
            answer = service.call("POST", f"/agents/{agent}/resume")
            assert (answer.status_code, answer.json()["paused"]) == (200, False)
        types = [event["type"] for event in service.get(f"/agents/{agent}/events")["items"]]
        assert types == ["agent.created", "agent.paused", "turn.queued", "agent.resumed"]

    def test_while_a_turn_runs(self, service: Served) -> None:
        agent = service.create()
        service.submit(agent)
        service.begin(agent)
        shown = service.call("POST", f"/agents/{agent}/pause").json()
        assert (shown["paused"], shown["status"]) == (True, "running")

    @pytest.mark.parametrize("what", ["pause", "resume"])
    def test_nobody(self, service: Served, what: str) -> None:
        problem(service.call("POST", f"/agents/n{new_id()}/{what}"), "agent-not-found")
        problem(service.call("POST", f"/agents/{service.create()}/{what}?x=1"), "invalid-request")


class TestDelete:
    def test_then_it_is_not_found(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        answer = service.call("DELETE", f"/agents/{agent}?force=true")
        assert (answer.status_code, answer.content) == (204, b"")
        for path in ("", "/turns", "/events", "/stream", f"/turns/{turn['id']}"):
            assert service.call("GET", f"/agents/{agent}{path}").status_code == 404
        problem(service.call("GET", f"/turns/{turn['id']}"), "turn-not-found")
        problem(service.call("DELETE", f"/agents/{agent}"), "agent-not-found")
        problem(service.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"}), "agent-not-found")

    def test_one_with_turns(self, service: Served) -> None:
        agent = service.create()
        service.submit(agent)
        refusal = problem(service.call("DELETE", f"/agents/{agent}"), "agent-busy")
        assert (refusal["status"], refusal["running"], refusal["queued"], refusal["scheduled"]) == (409, 0, 1, 0)
        assert "force" in refusal["detail"]
        assert service.call("DELETE", f"/agents/{agent}?force=false").status_code == 409
        assert service.get(f"/agents/{agent}")["queued"] == 1

    @pytest.mark.parametrize("query", ["force=yes", "force=", "force=1", "force=True", "now=true"])
    def test_what_is_no_wish(self, service: Served, query: str) -> None:
        """A delete that was meant otherwise cannot be taken back."""
        agent = service.create()
        problem(service.call("DELETE", f"/agents/{agent}?{query}"), "invalid-request")
        assert service.get(f"/agents/{agent}")["name"] == agent

    def test_its_name_is_free(self, service: Served) -> None:
        agent = service.create()
        service.call("DELETE", f"/agents/{agent}")
        answer = service.call("POST", "/agents", json={"name": agent, "tools": ["echo"]})
        assert (answer.status_code, answer.json()["earliest"], answer.json()["latest"]) == (201, 3, 3)
