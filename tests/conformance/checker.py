"""Whether an answer is as the OpenAPI document says: its status, its headers, its body, its events."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx
from jsonschema_rs import Draft202012Validator, Registry

from pygents_app.api.install import Application
from pygents_app.api.openapi import text

ROOT = "urn:document"
TEXT = "text/plain"
PROBLEM = "application/problem+json"
EVENTS = "text/event-stream"
LEAKS = re.compile(
    r'Traceback|site-packages|\.py\b|File "|sqlite3|SELECT |INSERT INTO|UPDATE |PRAGMA|/(?:home|root|usr|tmp)/',
    re.ASCII,
)
"""What a problem may never tell: where the code is, what it is, what it asks of the database."""
FRAMEWORK = frozenset({404, 405})
"""What an address or a method that is not there is answered; they are no operations, so nothing describes them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to what. ``body`` of a stream is what was read of it."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def answer_of(response: httpx.Response) -> Answer:
    request = response.request
    path = request.url.raw_path.partition(b"?")[0].decode()
    return Answer(request.method, path, response.status_code, response.headers, response.content)


class Conformance:
    """Checks answers against one document. Validators are kept: most of the answers of tests are alike."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._registry = Registry([(ROOT, dict(document))])
        self._paths = [(_pattern(path), path) for path in sorted(document["paths"], key=_variables)]
        self._validators: dict[str, Draft202012Validator] = {}

    def check(self, answer: Answer) -> None:
        """Fails the test if the answer is not as described, or a problem tells of the service's inside.

        Knows nothing else of addresses that are no operations.
        """
        if answer.headers.get("content-type") == PROBLEM:
            told = json.loads(answer.body or b"{}")
            told.pop("turn", None)  # which tells its caller what that has sent
            assert not LEAKS.search(json.dumps(told)), answer
        where = self._operation(answer)
        if where is None:
            assert answer.status in FRAMEWORK or answer.status < 400 or _is_refused_by_the_guard(answer), answer
            return
        pointer = f"{where}/responses/{self._status(where, answer)}"
        self._check_headers(pointer, answer)
        self._check_body(f"{pointer}/content", answer)

    def check_events(self, answer: Answer, pointer: str) -> None:
        """Each frame of what was read of a stream; the last one may be cut."""
        for frame in frames(answer.body):
            self._validate(pointer, frame, answer)
            for _, described in self._choices(self._get(pointer)):
                properties = described["properties"]
                if "data" in frame and properties.get("event", {}).get("const") == frame.get("event"):
                    reference = properties["data"]["contentSchema"]["$ref"]
                    self._validate(reference, json.loads(frame["data"]), answer)

    # --- the parts of an answer --------------------------------------------------------------------------------------

    def _operation(self, answer: Answer) -> str | None:
        """Where in the document the operation is."""
        method = {"HEAD": "get"}.get(answer.method, answer.method.lower())
        for pattern, path in self._paths:
            if pattern.fullmatch(answer.path) and method in self._document["paths"][path]:
                return f"#/paths/{path.replace('/', '~1')}/{method}"
        return None

    def _status(self, where: str, answer: Answer) -> str:
        described = self._get(f"{where}/responses")
        status = str(answer.status)
        assert status in described or status == "500", f"status {status} is not described: {answer}"
        return status if status in described else "default"

    def _check_headers(self, pointer: str, answer: Answer) -> None:
        for name, reference in self._get(pointer).get("headers", {}).items():
            described = self._get(reference["$ref"])
            given = answer.headers.get(name.lower())
            assert given is not None or not described.get("required"), f"no {name}: {answer}"
            if given is not None:
                self._validate(f"{reference['$ref']}/schema", given, answer)

    def _check_body(self, pointer: str, answer: Answer) -> None:
        described = self._get(pointer.removesuffix("/content")).get("content", {})
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if not described:
            assert not answer.body and not media_type, f"a body that is not described: {answer}"
            return
        assert media_type in described, f"{media_type} is not described: {answer}"
        within = f"{pointer}/{media_type.replace('/', '~1')}"
        if answer.method == "HEAD":
            assert not answer.body
        elif media_type == EVENTS:
            self.check_events(answer, f"{within}/itemSchema")
        elif self._get(f"{within}/schema").get("format") != "binary":
            body: Any = answer.body.decode() if media_type == TEXT else json.loads(answer.body)
            self._validate(f"{within}/schema", body, answer)
            if media_type == PROBLEM:
                self._check_members(f"{within}/schema", body)

    def _check_members(self, pointer: str, problem: Mapping[str, Any]) -> None:
        """Problems may have members that a client does not know, but none that the document does not."""
        for _, described in self._choices(self._get(pointer)):
            if described["properties"]["type"]["const"] == problem["type"]:
                assert set(problem) <= set(described["properties"]), problem

    # --- the document ------------------------------------------------------------------------------------------------

    def _validate(self, pointer: str, value: Any, answer: Answer) -> None:
        problems = self.problems(pointer, value)
        assert not problems, f"{answer.method} {answer.path} {answer.status}: {value!r} is not as described: {problems}"

    def problems(self, pointer: str, value: Any) -> list[str]:
        """What is wrong with ``value``, going by the schema at ``pointer``."""
        validator = self._validators.get(pointer)
        if validator is None:
            validator = self._validators[pointer] = Draft202012Validator(
                {"$ref": ROOT + quote(pointer, safe="#/~")}, registry=self._registry, validate_formats=True
            )
        return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]

    def _choices(self, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The schemas that ``schema`` is one of, itself if there is no choice."""
        if "$ref" in schema:
            target = self._get(schema["$ref"])
            if "oneOf" not in target:
                yield schema["$ref"], target
            else:
                yield from self._choices(target)
        for choice in schema.get("oneOf", ()):
            yield from self._choices(choice)

    def _get(self, pointer: str) -> Any:
        found: Any = self._document
        for part in pointer.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/")]
        return found


def frames(stream: bytes) -> Iterator[dict[str, Any]]:
    """The fields of each whole frame, as OpenAPI 3.2 has them: strings, but for ``retry``. Comments are none."""
    *whole, _cut = stream.decode().split("\n\n")
    for frame in whole:
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
        if fields:
            yield {name: int(value) if name == "retry" else value for name, value in fields.items()}


@cache
def conformance() -> Conformance:
    """Of the service's own document."""
    return Conformance(json.loads(text(Application())))


async def as_described(response: httpx.Response) -> None:
    """For the hooks of a client: every answer is one that the document describes. Streams are left to their readers."""
    if response.headers.get("content-type") != EVENTS:
        await response.aread()
        conformance().check(answer_of(response))


def _is_refused_by_the_guard(answer: Answer) -> bool:
    return answer.status in {401, 403, 413, 421, 429}


def _pattern(path: str) -> "re.Pattern[str]":
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))


def _variables(path: str) -> int:
    """Fixed paths first: ``/turns/batch`` is no turn."""
    return path.count("{")
