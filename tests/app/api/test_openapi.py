"""The OpenAPI document: valid, committed, complete, and true. What the service really answers is in ``conformance``."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

from pygents_app.api.docs import FILES
from pygents_app.api.install import Application
from pygents_app.api.openapi import operations, text
from pygents_app.api.problem_documents import EXAMPLES
from pygents_app.api.summaries import SUMMARIES
from pygents_app.commands import GuardNeeded
from pygents_app.errors import Fenced, HopLimit, ServiceError, StartupError
from pygents_app.model import EventType
from tests.app.api.serving import Served

COMMITTED = Path(__file__).parents[3] / "openapi"
NOT_OVER_HTTP = frozenset({Fenced, HopLimit, StartupError, GuardNeeded})
"""Errors that only running turns, the start or the store see."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(Application()))
    return found


def references(value: Any) -> Iterator[str]:
    """All that is pointed to, anywhere in ``value``."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "$ref":
                yield each
            elif name == "mapping":
                yield from each.values()
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def derived(base: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for each in base.__subclasses__():
        yield each
        yield from derived(each)


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.2.0"


def test_it_is_the_committed_one(document: dict[str, Any]) -> None:
    """If not: ``make openapi`` writes it anew."""
    assert json.loads((COMMITTED / "openapi.json").read_text()) == document


def test_a_second_one_is_the_same(document: dict[str, Any]) -> None:
    """What routes share must not be changed for one of them."""
    Application().openapi()
    assert json.loads(json.dumps(Application().openapi())) == document
    assert "RateLimit" not in document["paths"]["/healthz"]["get"]["responses"]["default"]["headers"]


def test_it_is_served(service: Served, document: dict[str, Any]) -> None:
    assert service.get("/openapi.json") == document


def test_every_route_is_in_it_and_nothing_else(service: Served, document: dict[str, Any]) -> None:
    pages = {*FILES, "/openapi.json", "/guide/", "/guide/{page}"}
    served = {
        (path.replace("{turn_id}", "{id}"), method.lower())
        for route in service.app.router.routes
        if (path := route.path) not in pages  # type: ignore[attr-defined]
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    assert {(path, method) for path, method, _ in operations(document)} == served


def test_all_that_is_pointed_to_is_there(document: dict[str, Any]) -> None:
    for reference in set(references(document)):
        assert resolve(document, reference) is not None


def test_operations_have_names_and_words(document: dict[str, Any]) -> None:
    described = [operation for _, _, operation in operations(document)]
    assert all(operation["description"] for operation in described)
    names = [operation["operationId"] for operation in described]
    assert len(set(names)) == len(names)


def test_summaries_are_of_one_style(document: dict[str, Any]) -> None:
    """`List agents`: neither a title nor a sentence, and none is taken from a function's name."""
    summaries = {operation["operationId"]: operation["summary"] for _, _, operation in operations(document)}
    assert summaries == SUMMARIES
    assert len(set(summaries.values())) == len(summaries)
    assert all(re.fullmatch(r"[A-Z][a-z]+ [a-z' ,]*[a-z]", summary) for summary in summaries.values())


def test_every_operation_is_under_a_described_tag(document: dict[str, Any]) -> None:
    assert {tag["name"] for tag in document["tags"]} == {
        tag for _, _, operation in operations(document) for tag in operation["tags"]
    }


def test_no_bound_is_lost_on_the_way(document: dict[str, Any]) -> None:
    """pydantic writes bounds that it cannot place as ``ge`` and ``le``, which no JSON schema knows."""
    assert not re.search(r'"(ge|le|gt|lt)":', json.dumps(document))


def test_links_lead_to_operations_and_their_parameters(document: dict[str, Any]) -> None:
    known = {operation["operationId"]: operation for _, _, operation in operations(document)}
    links = [
        link
        for operation in known.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert {link["operationId"] for link in links} >= {"getAgent", "submitTurn", "streamTurn", "deleteAgent"}
    for link in links:
        parameters = {parameter["name"] for parameter in known[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= parameters


class TestProblems:
    def test_every_response_tells_its_types(self, document: dict[str, Any]) -> None:
        for _, _, operation in operations(document):
            for status, response in operation["responses"].items():
                if "application/problem+json" not in response.get("content", {}):
                    continue
                schema = response["content"]["application/problem+json"]["schema"]
                for choice in schema.get("oneOf", [schema]):
                    found = resolve(document, choice["$ref"])["properties"]
                    assert found["type"]["const"].startswith("urn:pygents:problem:")
                    assert str(found["status"]["const"]) == status.replace("default", "500")

    def test_every_operation_can_fail_unexpectedly(self, document: dict[str, Any]) -> None:
        assert all("default" in operation["responses"] for _, _, operation in operations(document))

    def test_every_error_has_an_example(self) -> None:
        raised = {each for each in derived(ServiceError) if each.__module__.startswith("pygents_app")}
        assert {type(example) for example in EXAMPLES} == {ServiceError, *raised} - NOT_OVER_HTTP

    def test_probes_need_no_key(self, document: dict[str, Any]) -> None:
        for path in ("/healthz", "/readyz"):
            operation = document["paths"][path]["get"]
            assert operation["security"] == []
            assert not {"401", "421"} & set(operation["responses"])


class TestEvents:
    def test_every_type_has_a_schema(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        assert list(schemas["Event"]["discriminator"]["mapping"]) == list(EventType)
        frames = {
            resolve(document, each["$ref"])["properties"].get("event", {}).get("const")
            for each in schemas["StreamFrame"]["oneOf"]
        }
        assert frames == {*EventType, "stream.reset", "stream.closing", None}

    def test_the_streams_contract_names_every_event(self) -> None:
        contract = (COMMITTED / "events.md").read_text()
        for type_ in (*EventType, "stream.reset", "stream.closing"):
            assert f"event: {type_}" in contract, f"no frame of {type_}"

    def test_the_frames_of_the_streams_contract_are_as_described(self, document: dict[str, Any]) -> None:
        contract = (COMMITTED / "events.md").read_text()
        frames = re.findall(r"event: (\S+)\ndata: (.*)\n", contract)
        assert len(frames) > len(EventType)
        for event, data in frames:
            name = {"stream.reset": "StreamReset", "stream.closing": "StreamClosing"}.get(event, "Event")
            check(document, name, json.loads(data))


def check(document: dict[str, Any], name: str, value: Any) -> None:
    """``value`` against the schema ``name`` of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def test_requests_are_as_described(document: dict[str, Any]) -> None:
    examples: dict[str, dict[str, Any]] = {
        "Submit": {"tool": "echo", "args": [1], "delay": 1.5},
        "CreateAgent": {"name": "a", "tools": [], "memory": {"limit": 1}},
        "Merge": {"labels": {"a": None}, "description": None},
        "Cancel": {"reason": None},
    }
    for name, example in examples.items():
        check(document, name, example)
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        assert not Draft202012Validator(schema).is_valid({**example, "unknown": 1})
