"""The ``links`` of the OpenAPI document: from what an answer names to what can be done with it."""

from collections.abc import Mapping
from typing import Any

OF_AGENT = ("getAgent", "patchAgent", "pauseAgent", "resumeAgent", "deleteAgent", "submitTurn", "submitTurns",
            "listTurns", "listEvents", "streamAgent")  # fmt: skip
OF_TURN = ("getTurn", "cancelTurn", "retryTurn", "streamTurn")

_AGENT = {"name": "$response.body#/name"}
_TURN = {"name": "$response.body#/agent", "id": "$response.body#/id"}
_FIRST = {"name": "$response.body#/items/0/agent", "id": "$response.body#/items/0/id"}


def _links(parameters: Mapping[str, str], *operations: str) -> dict[str, Any]:
    return {operation: {"operationId": operation, "parameters": dict(parameters)} for operation in operations}


_TO_TURN = {**_links(_TURN, *OF_TURN), **_links({"id": _TURN["id"]}, "getTurnById")}

LINKS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "createAgent": dict.fromkeys(("200", "201"), _links(_AGENT, *OF_AGENT)),
    "patchAgent": {"200": _links(_AGENT, "getAgent", "submitTurn")},
    "pauseAgent": {"200": _links(_AGENT, "getAgent", "submitTurn", "resumeAgent")},
    "resumeAgent": {"200": _links(_AGENT, "getAgent", "submitTurn", "pauseAgent")},
    "submitTurn": dict.fromkeys(("200", "202"), _TO_TURN),
    "submitTurns": {"202": _links(_FIRST, *OF_TURN)},
    "cancelTurn": dict.fromkeys(("200", "202"), _links(_TURN, "getTurn", "retryTurn", "streamTurn")),
    "retryTurn": dict.fromkeys(("200", "202"), _TO_TURN),
}
"""By operation and status."""
