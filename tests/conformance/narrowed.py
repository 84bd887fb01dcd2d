"""The OpenAPI document as it is fuzzed: with shorter times, and with what one service knows put in.

Only what is sent is narrowed; what answers may look like stays as it is.
"""

import json
from typing import Any

from pygents_app.api.guard import PROBES
from pygents_app.api.install import Application
from pygents_app.api.openapi import operations, text

TOOLS = ["greet", "several", "failing"]
NAMES = "^(code|a[0-3])$"
"""Few names, so that agents are found, exist already, and are gone again."""
PARAMETERS: dict[str, dict[str, Any]] = {"name": {"pattern": NAMES}, "tool": {"enum": TOOLS}}
FROM_THE_BEGINNING = {name: {"pattern": "^0?$"} for name in ("Last-Event-ID", "after")}
"""Any other cursor is beyond the end of so short a log."""
STREAMING = frozenset({"streamAgent", "streamTurn", "submitTurn"})
COMBINED = frozenset({"Idempotency-Key", "on_disconnect", "ticket"})
PAST = "2026-01-01T00:00:00Z"


def plain() -> dict[str, Any]:
    """The document as it is."""
    document: dict[str, Any] = json.loads(text(Application()))
    return document


def wanting_a_key(document: dict[str, Any]) -> dict[str, Any]:
    """For a service that nobody may call without: the document itself must allow that, too."""
    for _, _, operation in operations(document):
        if operation.get("security"):
            operation["security"] = [{"bearer": operation["security"][0]["bearer"]}]
    return {**document, "security": [{"bearer": []}]}


def shut(document: dict[str, Any]) -> dict[str, Any]:
    """What is left for somebody without a key: to be told that one is needed. Probes are as they were."""
    for path, _, operation in operations(document):
        if path not in PROBES:
            operation["responses"] = {"401": operation["responses"]["401"]}
    return document


def bounded() -> dict[str, Any]:
    """The document with times that a test can wait for."""
    document = plain()
    submit = document["components"]["schemas"]["Submit"]["properties"]
    submit["delay"]["anyOf"][0]["maximum"] = 0.05
    submit["not_before"]["anyOf"][0] = {"const": PAST}
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "wait":
                parameter["schema"]["maximum"] = 0
            elif parameter["name"] == "Prefer":
                parameter["schema"]["enum"] = ["wait=0", "return=minimal"]
    return document


def informed() -> dict[str, Any]:
    """The bounded document with the names that the service knows, and without what is valid only together.

    From the document alone most agents and turns would be refused: it cannot know which tools are registered.
    """
    document = bounded()
    for _, _, operation in operations(document):
        operation["parameters"] = [each for each in operation.get("parameters", ()) if each["name"] not in COMBINED]
        for parameter in operation["parameters"]:
            parameter["schema"] |= PARAMETERS.get(parameter["name"], {})
            if operation["operationId"] in STREAMING:
                parameter["schema"] |= FROM_THE_BEGINNING.get(parameter["name"], {})
    _inform(document["components"]["schemas"])
    return document


def _inform(schemas: dict[str, Any]) -> None:
    submit, create, merge = (schemas[name]["properties"] for name in ("Submit", "CreateAgent", "Merge"))
    submit["tool"]["enum"] = TOOLS
    schemas["CreateKey"]["properties"]["expires_at"]["anyOf"][0] = {"const": PAST}
    schemas["CreateTicket"]["properties"]["agents"] = {"const": ["code"]}
    create["name"]["pattern"] = "^a[0-3]$"
    create["tools"] = merge["tools"] = {"const": TOOLS}  # an agent that had lost one would refuse turns of it
    for definition in (create, merge):
        definition["hooks"] = {"type": "object", "maxProperties": 0}
