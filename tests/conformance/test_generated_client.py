"""A client that a public generator makes from the document alone posts turns, reads results and knows errors."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pygents_app.api.install import Application
from pygents_app.api.openapi import text
from tests.service import Service, serving

HERE = Path(__file__).parent
GENERATOR = HERE.parents[1] / ".cache" / "generator" / "bin"
PACKAGE = "generated_client"

pytestmark = pytest.mark.skipif(
    not (GENERATOR / "openapi-python-client").exists(),
    reason="`make .cache/generator/.installed` installs the generator",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("server"), HERE / "tools.py") as found:
        yield found


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package.

    The generator refuses 3.2 for its number alone, so it gets a copy that says 3.1.1. Nothing of the document is new in
    3.2 but ``itemSchema``, which it passes over: the functions for streams know the problems, but not the events.
    """
    folder = tmp_path_factory.mktemp("client")
    document = {**json.loads(text(Application())), "openapi": "3.1.1"}
    (folder / "openapi.json").write_text(json.dumps(document))
    command = [str(GENERATOR / "openapi-python-client"), "generate", "--path", "openapi.json", "--meta", "none"]
    generated = subprocess.run(
        [*command, "--output-path", PACKAGE, "--fail-on-warning"], cwd=folder, capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, "PATH": f"{GENERATOR}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert generated.returncode == 0, generated.stdout + generated.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


def part(name: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.{name}")


def test_a_turn_is_posted_and_its_result_read(client: ModuleType, service: Service) -> None:
    models = part("models")
    kwargs = models.SubmitKwargs.from_dict({"name": "World"})
    with client.Client(base_url=service.url) as caller:
        turn = part("api.turns.submit_turn").sync("code", client=caller, body=models.Submit("greet", kwargs=kwargs))
        assert isinstance(turn, models.Turn)
        ended = part("api.turns.get_turn").sync(turn.agent, turn.id, client=caller, wait=30)
        page = part("api.events.list_events").sync("code", client=caller)
    assert isinstance(ended, models.Turn)
    assert (ended.status, ended.output) == ("completed", {"args": [], "kwargs": {"name": "World"}})
    assert isinstance(page, models.EventPage)
    assert [type(event) for event in page.items] == [
        models.AgentCreatedEvent, models.TurnQueuedEvent, models.TurnStartedEvent, models.TurnValueEvent,
        models.TurnCompletedEvent,
    ]  # fmt: skip
    assert page.items[-1].data.values == 1


def test_an_agent_is_made_changed_and_deleted(client: ModuleType, service: Service) -> None:
    models, agents = part("models"), "api.agents"
    with client.Client(base_url=service.url) as caller:
        made = part(f"{agents}.create_agent").sync(client=caller, body=models.CreateAgent("made", ["greet"]))
        changed = part(f"{agents}.patch_agent").sync("made", client=caller, body=models.Merge(description="Changed."))
        deleted = part(f"{agents}.delete_agent").sync_detailed("made", client=caller)
    assert (made.tools, made.description) == (["greet"], "")
    assert (changed.tools, changed.description) == (["greet"], "Changed."), "what is not named must stay"
    assert deleted.status_code == 204


def test_problems_have_types(client: ModuleType, service: Service) -> None:
    models = part("models")
    with client.Client(base_url=service.url) as caller:
        submit = part("api.turns.submit_turn")
        nobody = submit.sync("nobody", client=caller, body=models.Submit("greet"))
        refused = submit.sync("code", client=caller, body=models.Submit("fly"))
    assert isinstance(nobody, models.AgentNotFoundProblem)
    assert isinstance(refused, models.ToolNotAcceptedProblem)
    assert refused.errors[0].pointer == "/tool"
