"""Agents over HTTP."""

from typing import Any

import pytest

from pygents_app.clock import new_id
from pygents_app.model import Definition, Outcome, TurnStatus
from tests.app.api.serving import NODE, Served
from tests.app.api.test_guard import problem

KEYS = [
    "name", "description", "tools", "missing_tools", "hooks", "labels", "source", "status", "paused", "current_turn",
    "queued", "scheduled", "oldest_queued_at", "last_error", "earliest", "latest", "node", "created_at", "updated_at",
    "links",
]  # fmt: skip


def fresh() -> str:
    return f"n{new_id()}"


class TestCreate:
    def test_a_new_one_is_created_and_found(self, service: Served) -> None:
        name = fresh()
        definition = {"name": name, "tools": ["echo"], "description": "Says it again.", "labels": {"team": "a"}}
        answer = service.call("POST", "/agents", json=definition)
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/agents/{name}"
        assert service.get(f"/agents/{name}") == answer.json()
        assert list(answer.json()) == KEYS
        assert answer.json()["labels"] == {"team": "a"}

    def test_the_same_again_changes_nothing(self, service: Served) -> None:
        definition = {"name": fresh(), "tools": ["echo"], "labels": {"a": "b"}, "memory": {"limit": 5}}
        first = service.call("POST", "/agents", json=definition)
        again = service.call("POST", "/agents", json=definition)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.headers["location"] == first.headers["location"]
        assert again.json() == first.json()

    def test_another_definition_is_a_conflict(self, service: Served) -> None:
        name = fresh()
        service.call("POST", "/agents", json={"name": name, "tools": ["echo"]})
        problem(service.call("POST", "/agents", json={"name": name, "tools": []}), "agent-exists")

    def test_an_unknown_tool_is_told_with_a_pointer(self, service: Served) -> None:
        body = problem(service.call("POST", "/agents", json={"name": fresh(), "tools": ["unknown"]}), "invalid-request")
        assert body["errors"][0]["pointer"] == "/tools/0"

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"name": "a.b"}, "/name"),
            ({"name": "-a"}, "/name"),
            ({"name": "a\n"}, "/name"),
            ({"name": ".."}, "/name"),
            ({"name": "a" * 65}, "/name"),
            ({"name": "é"}, "/name"),
            ({"name": "a\0"}, "/name"),
            ({"name": 1}, "/name"),
            ({"name": None}, "/name"),
            ({"tools": "echo"}, "/tools"),
            ({"tools": [1]}, "/tools/0"),
            ({"tools": [""]}, "/tools/0"),
            ({"memory": {"limit": 0}}, "/memory/limit"),
            ({"memory": {"size": 1}}, "/memory/limit"),
            ({"labels": {"a": 1}}, "/labels/a"),
            ({"labels": {"a/b~c": 1}}, "/labels/a~1b~0c"),
            ({"hooks": []}, "/hooks"),
            ({"color": "red"}, "/color"),
        ],
    )
    def test_what_is_not_valid_is_pointed_at(self, service: Served, change: dict[str, Any], pointer: str) -> None:
        answer = service.call("POST", "/agents", json={"name": "x", "tools": []} | change)
        assert pointer in [each["pointer"] for each in problem(answer, "invalid-request")["errors"]]

    @pytest.mark.parametrize("body", ["[]", "1", '"x"', "null", "{}"])
    def test_other_json_is_not_valid(self, service: Served, body: str) -> None:
        answer = service.call("POST", "/agents", content=body, headers={"Content-Type": "application/json"})
        problem(answer, "invalid-request")


class TestList:
    def test_pages_ascend_and_meet(self, service: Served) -> None:
        prefix = f"p{new_id()[-12:]}"
        names = [f"{prefix}-{number}" for number in range(5)]
        for name in reversed(names):
            service.call("POST", "/agents", json={"name": name, "tools": []})
        found, after = [], ""
        while True:
            page = service.get(f"/agents?prefix={prefix}&limit=2{after}")
            found += [item["name"] for item in page["items"]]
            if page["next"] is None:
                break
            assert len(page["items"]) == 2
            after = f"&after={page['next']}"
        assert found == names

    def test_by_status(self, service: Served) -> None:
        prefix = f"s{new_id()[-12:]}"
        for number in range(4):
            service.call("POST", "/agents", json={"name": f"{prefix}-{number}", "tools": ["echo"]})
        service.submit(f"{prefix}-2")
        service.begin(f"{prefix}-2")
        running = service.get(f"/agents?prefix={prefix}&status=running&limit=1")
        assert [item["name"] for item in running["items"]] == [f"{prefix}-2"]
        idle = service.get(f"/agents?prefix={prefix}&status=idle")
        assert [item["name"] for item in idle["items"]] == [f"{prefix}-{number}" for number in (0, 1, 3)]
        assert idle["next"] is None

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=1001", "limit=1_0", "limit=", "limit=%D9%A3", "limit=%2B1", "limit=-1", "limit=1.0",
         "limit=99999999999999999999", "limit=%201", "status=asleep", "after=a.b", "after=%00", "prefix=%0d%0a",
         "colour=red", "Limit=1"],
    )  # fmt: skip
    def test_odd_queries_are_refused(self, service: Served, query: str) -> None:
        body = problem(service.call("GET", f"/agents?{query}"), "invalid-request")
        assert body["errors"][0]["pointer"] == query.partition("=")[0]


class TestStatus:
    """The first that holds of: blocked, stuck, running, paused, unavailable, idle."""

    def test_idle(self, service: Served) -> None:
        shown = service.get(f"/agents/{service.create()}")
        assert (shown["status"], shown["node"], shown["current_turn"], shown["queued"]) == ("idle", None, None, 0)

    def test_running(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        service.submit(agent)
        service.begin(agent)
        shown = service.get(f"/agents/{agent}")
        assert (shown["status"], shown["node"], shown["current_turn"]) == ("running", NODE, turn["id"])
        assert shown["queued"] == 1
        assert shown["oldest_queued_at"] is not None

    @pytest.mark.parametrize("trouble", ["blocked", "stuck"])
    def test_trouble_outweighs_running(self, service: Served, trouble: Any) -> None:
        agent = service.create()
        service.submit(agent)
        service.begin(agent)
        service.dispatcher.troubled[agent] = trouble
        assert service.get(f"/agents/{agent}")["status"] == trouble

    def test_unavailable_while_the_next_turn_lacks_its_tool(self, service: Served) -> None:
        agent = service.create("gone", "echo")
        assert service.get(f"/agents/{agent}")["missing_tools"] == ["gone"]
        assert service.get(f"/agents/{agent}")["status"] == "idle"
        turn = service.submit(agent, {"tool": "gone"})
        assert service.get(f"/agents/{agent}")["status"] == "unavailable"
        assert service.get(turn["links"]["self"])["waiting_for"] == "tool"

    def test_not_unavailable_for_a_turn_further_back(self, service: Served) -> None:
        agent = service.create("gone", "echo")
        service.submit(agent)
        service.submit(agent, {"tool": "gone"})
        assert service.get(f"/agents/{agent}")["status"] == "idle"

    def test_the_last_error_is_shown(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        error = b'{"type":"ValueError","message":"no"}'
        service.finish(agent, turn["id"], service.begin(agent), Outcome(TurnStatus.ERROR, error=error))
        assert service.get(f"/agents/{agent}")["last_error"]["error"]["message"] == "no"


@pytest.mark.parametrize(
    "name", ["nobody", "a" * 65, "%2e%2e", ".%2e", "%00", "a%00", "x%0d%0aY:z", "%ff", "a.b", "_a", "é"]
)
def test_what_is_no_agent_is_not_found(service: Served, name: str) -> None:
    answer = service.call("GET", f"/agents/{name}")
    assert answer.status_code == 404
    assert answer.json()["type"].endswith(("agent-not-found", "problem:not-found"))


def test_a_definition_may_have_everything(service: Served) -> None:
    agent = service.create("echo", description='Ünï "quoted"', hooks={"before_turn": ("h",)}, source="code")
    shown = service.get(f"/agents/{agent}")
    expected = Definition(agent, 'Ünï "quoted"', ("echo",), {"before_turn": ("h",)}, source="code")
    assert (shown["description"], shown["source"]) == (expected.description, expected.source)
    assert shown["hooks"] == {"before_turn": ["h"]}
