"""The examples: what is to be sent is accepted by a running service, and every one is as the document describes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pygents_app.api.install import Application
from pygents_app.api.openapi import operations, text
from tests.conformance.checker import Conformance, answer_of, conformance
from tests.conformance.examples import files, is_problem
from tests.service import serving

HERE = Path(__file__).parent
KEY = "a-key-for-the-tests-0123456789"
FOLDER = HERE.parents[1] / "openapi" / "examples"
DOCUMENT: dict[str, Any] = json.loads(text(Application()))
EXAMPLES: dict[str, Any] = {name: each["value"] for name, each in DOCUMENT["components"]["examples"].items()}


def shown() -> Iterator[tuple[str, str]]:
    """Where in the document there are examples, and which."""
    for path, method, operation in operations(DOCUMENT):
        where = f"#/paths/{path.replace('/', '~1')}/{method}"
        places = {f"{where}/responses/{status}": response for status, response in operation["responses"].items()}
        if "requestBody" in operation:
            places[f"{where}/requestBody"] = operation["requestBody"]
        for place, described in places.items():
            for media_type, content in described.get("content", {}).items():
                for name in content.get("examples", ()):
                    yield f"{place}/content/{media_type.replace('/', '~1')}/schema", name


class Caller:
    """Sends examples. Each answer must be as described."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def send(self, method: str, path: str, example: str) -> httpx.Response:
        return self.call(method, path, json=EXAMPLES[example])

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self._client.request(method, path, **options)
        conformance().check(answer_of(answer))
        return answer


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A service with the agent that the examples are about, made by an example."""
    with (
        serving(tmp_path_factory.mktemp("server"), HERE / "tools.py", settings={"admin_key": KEY}) as service,
        httpx.Client(base_url=service.url, trust_env=False, headers={"X-API-Key": KEY}) as client,
    ):
        caller = Caller(client)
        assert caller.send("POST", "/agents", "create-agent").status_code == 201
        yield caller


def test_the_files_are_those_of_the_document() -> None:
    """If not: ``make openapi`` writes them anew."""
    assert {path.name: json.loads(path.read_text()) for path in FOLDER.iterdir()} == files(DOCUMENT)


def test_they_are_as_described() -> None:
    checks = Conformance(DOCUMENT)
    for pointer, name in shown():
        assert not checks.problems(pointer, EXAMPLES[name]), name


def test_each_is_shown_somewhere() -> None:
    elsewhere = {"method-not-allowed", "malformed-request", "turn-error"}
    assert {name for _, name in shown()} | elsewhere == set(EXAMPLES)


def test_those_that_no_operation_shows_are_as_described_too() -> None:
    checks = Conformance(DOCUMENT)
    assert not checks.problems("#/components/schemas/Turn", EXAMPLES["turn-error"])
    assert not checks.problems("#/components/schemas/MethodNotAllowedProblem", EXAMPLES["method-not-allowed"])
    assert not checks.problems("#/components/schemas/MalformedRequestProblem", EXAMPLES["malformed-request"])


def test_an_agent(caller: Caller) -> None:
    again = caller.send("POST", "/agents", "create-agent")
    assert again.status_code == 200
    varying = {"created_at", "updated_at"}
    made, example = again.json(), EXAMPLES["agent"]
    assert {name for name in made if made[name] != example[name]} <= varying
    assert caller.send("PATCH", "/agents/greeter", "patch-agent").json()["labels"] == {"floor": "2"}


def test_a_turn(caller: Caller) -> None:
    accepted = caller.send("POST", "/agents/code/turns", "submit")
    assert accepted.status_code == 202
    ended = caller.call("GET", accepted.headers["location"], params={"wait": 30}).json()
    assert (ended["status"], ended["metadata"]) == ("completed", EXAMPLES["submit"]["metadata"])
    assert set(ended) == set(EXAMPLES["turn-completed"])


def test_a_batch_and_a_cancel(caller: Caller) -> None:
    accepted = caller.send("POST", "/agents/code/turns/batch", "submit-batch")
    assert accepted.status_code == 202
    (_, scheduled) = accepted.json()["items"]
    assert scheduled["status"] == EXAMPLES["turns"]["items"][1]["status"]
    cancelled = caller.send("POST", scheduled["links"]["cancel"], "cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


def test_a_key_and_a_ticket(caller: Caller) -> None:
    made = caller.send("POST", "/keys", "create-key")
    assert (made.status_code, made.json()["scopes"]) == (201, EXAMPLES["create-key"]["scopes"])
    assert caller.send("POST", "/stream-tickets", "create-ticket").status_code == 201


def test_a_key_that_was_made_up_signs_nobody_in(caller: Caller) -> None:
    assert caller.send("POST", "/session", "sign-in").status_code == 401


def test_all_that_is_to_be_sent_was_sent() -> None:
    """By the tests above: a further example of a body needs a further test."""
    bodies = {name for pointer, name in shown() if pointer.split("/content/")[0].endswith("requestBody")}
    made = {"create-agent", "patch-agent", "submit", "submit-batch", "cancel", "create-key", "create-ticket", "sign-in"}
    assert bodies == made
    assert not any(is_problem(EXAMPLES[name]) for name in bodies)
