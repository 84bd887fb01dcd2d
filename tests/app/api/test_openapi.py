"""The OpenAPI document: valid, committed, complete, and true."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

from pygents_app.api.install import Application
from pygents_app.api.openapi import text
from pygents_app.model import EventType, Outcome, TurnStatus
from tests.app.api.serving import Served

COMMITTED = Path(__file__).parents[3] / "openapi"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(Application()))
    return found


def check(document: dict[str, Any], name: str, value: Any) -> None:
    """``value`` against the schema ``name`` of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.2.0"


def test_it_is_the_committed_one(document: dict[str, Any]) -> None:
    """If not: ``make openapi`` writes it anew."""
    assert json.loads((COMMITTED / "openapi.json").read_text()) == document


def test_it_is_served(service: Served, document: dict[str, Any]) -> None:
    assert service.get("/openapi.json") == document


def test_every_route_is_in_it(service: Served, document: dict[str, Any]) -> None:
    described = {
        (path.replace("{id}", "{turn_id}"), method) for path, its in document["paths"].items() for method in its
    }
    pages = {"/openapi.json", "/docs", "/docs.js", "/docs.css"}
    for route in service.app.router.routes:
        path = route.path.replace("{id}", "{turn_id}")  # type: ignore[attr-defined]
        for method in route.methods - {"HEAD"} if path not in pages else ():  # type: ignore[attr-defined]
            assert (path, method.lower()) in described


def test_operations_have_names_and_words(document: dict[str, Any]) -> None:
    operations = [operation for its in document["paths"].values() for operation in its.values()]
    assert all(operation["description"] for operation in operations)
    assert all("application/problem+json" in operation["responses"]["422"]["content"] for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


def test_answers_are_as_described(service: Served, document: dict[str, Any]) -> None:
    agent = service.create("gone", "echo", labels={"a": "b"})
    turn = service.submit(agent, {"args": [{"x": [1.5]}], "metadata": {"m": None}})
    check(document, "Turn", turn)
    service.submit(agent, {"delay": 60})
    check(document, "Agent", service.get(f"/agents/{agent}"))
    error = b'{"type":"ValueError","message":"no"}'
    service.finish(agent, turn["id"], service.begin(agent), Outcome(TurnStatus.ERROR, error=error))
    check(document, "Turn", service.get(turn["links"]["self"]))
    check(document, "TurnPage", service.get(f"/agents/{agent}/turns"))
    check(document, "AgentPage", service.get("/agents"))
    check(document, "EventPage", service.get(f"/agents/{agent}/events"))
    check(document, "ToolPage", service.get("/tools"))
    check(document, "Tool", service.get("/tools/echo"))
    check(document, "Info", service.get("/info"))
    check(document, "TurnPage", service.get("/turns"))
    check(document, "Limits", service.get("/limits"))
    check(document, "Health", service.get("/readyz"))
    check(document, "TurnEnded", service.call("POST", turn["links"]["cancel"]).json())
    check(document, "InvalidRequest", service.call("GET", "/agents?limit=0").json())
    check(document, "Problem", service.call("GET", "/agents/nobody").json())


def test_requests_are_as_described(document: dict[str, Any]) -> None:
    examples: dict[str, dict[str, Any]] = {
        "Submit": {"tool": "echo", "args": [1], "delay": 1.5},
        "CreateAgent": {"name": "a", "tools": [], "memory": {"limit": 1}},
        "Cancel": {"reason": None},
    }
    for name, example in examples.items():
        check(document, name, example)
        assert (
            Draft202012Validator(
                {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            ).is_valid({**example, "unknown": 1})
            is False
        )


def test_the_streams_contract_names_every_event() -> None:
    contract = (COMMITTED / "events.md").read_text()
    for type_ in (*EventType, "stream.reset", "stream.closing"):
        assert f"event: {type_}" in contract, f"no frame of {type_}"
