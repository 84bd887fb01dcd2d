"""What ``pygents serve`` does to answer soon: nothing here is timed, ``tests.bench startup`` does that."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import serving

AGENTS = '''
import gc
import sys

from pydantic import BaseModel
from pygents_core import Agent, tool

collects_while_imported = gc.isenabled()

@tool
async def look() -> dict[str, object]:
    """Look at the process that this runs in."""
    from fastapi.openapi.models import OpenAPI
    from pygents_app.api.queries import AgentsQuery
    from pygents_app.api.requests import CreateAgent

    class Own(BaseModel):
        name: str

    return {
        "modules": sorted(sys.modules),
        "collects": [collects_while_imported, gc.isenabled()],
        "frozen": gc.get_freeze_count(),
        "built": {
            name: model.__pydantic_complete__
            for name, model in (("FastAPI's", OpenAPI), ("body", CreateAgent), ("query", AgentsQuery), ("tool's", Own))
        },
    }

Agent("looker", "Looks.", [look])
'''
FOR_LATER = {
    "docstring_parser": "a tool whose docstring has parameters is shown",
    "dotenv": "there is a file .env",
    "httpx": "code of the user, or another verb of the command, uses it",
    "markdown_it": "a page of the guide is shown",
    "prometheus_client": "metrics are asked for",
    "pygents_app.api.event_schemas": "the OpenAPI document is shown",
    "pygents_app.api.openapi": "the OpenAPI document is shown",
    "pygents_app.api.schemas": "the OpenAPI document is shown",
    "pygents_app.cli.dev": "the code is to be reloaded",
    "pygents_app.store.examination": "a file is examined",
    "rich": "never",
    "tomllib": "there is a file pygents.toml",
}
"""Modules that a start does not import, nor a turn, and when they are."""
DOCUMENT = Path(__file__).resolve().parents[3] / "openapi" / "openapi.json"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What a turn of a service that has just started sees, and the OpenAPI document that it gives then."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "my_agents.py").write_text(AGENTS)
    with serving(folder, "my_agents.py") as service, httpx.Client(base_url=service.url, trust_env=False) as http:
        turn = http.post("/agents/looker/turns", json={"tool": "look"}, headers={"Prefer": "wait=10"})
        assert turn.status_code == 200, turn.text
        output: Mapping[str, Any] = turn.json()["output"]
        return {**output, "document": http.get("/openapi.json").json()}


class TestStart:
    @pytest.mark.parametrize("module", FOR_LATER)
    def test_imports_nothing_for_later(self, seen: Mapping[str, Any], module: str) -> None:
        assert "pygents_app.main" in seen["modules"]
        assert module not in seen["modules"], f"not needed before {FOR_LATER[module]}"

    def test_what_it_imports_is_left_out_of_garbage_collections(self, seen: Mapping[str, Any]) -> None:
        assert seen["frozen"] > 10_000
        assert seen["collects"] == [True, True]

    def test_models_are_built_when_they_are_needed(self, seen: Mapping[str, Any]) -> None:
        assert seen["built"] == {"FastAPI's": False, "body": False, "query": False, "tool's": True}
        assert seen["document"] == json.loads(DOCUMENT.read_text())
