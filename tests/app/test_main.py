"""The service's life when something else than our server runs it: only the ASGI lifespan begins and ends it."""

import asyncio
import json
from pathlib import Path

import pytest
import uvloop

from pygents_app.errors import StartupError
from pygents_app.main import create_app
from pygents_app.model import TurnStatus
from pygents_app.runtime.requests import TurnRequest
from pygents_app.settings import Settings
from pygents_app.store.opening import open_store
from pygents_core.agent import Agent
from pygents_core.testing import isolated_registries
from pygents_core.tool import tool
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

# libuv opens a pipe for signals with the first loop of a process and never closes it: no leak of the first test.
uvloop.new_event_loop().close()


async def endless() -> None:
    await asyncio.Event().wait()


async def test_it_is_open_beyond_loopback_only_on_purpose(tmp_path: Path) -> None:
    settings = {"host": "192.0.2.7", "store": f"sqlite:///{tmp_path}/pygents.db"}
    with isolated_registries():
        app = create_app(Settings.model_validate(settings), [])
        with pytest.raises(StartupError, match="there is no key"):
            async with app.router.lifespan_context(app):
                raise AssertionError("it has started")
        app = create_app(Settings.model_validate({**settings, "insecure": True}), [])
        async with app.router.lifespan_context(app):
            assert app.state.service.services.gate.open


async def test_the_end_of_the_lifespan_interrupts_what_runs(tmp_path: Path) -> None:
    settings = Settings(store=f"sqlite:///{tmp_path}/pygents.db")
    with isolated_registries():
        app = create_app(settings, [Agent("a", "", [tool()(endless)], register=False)])
        async with app.router.lifespan_context(app):
            services = app.state.service.services
            accepted = await services.submission.submit("a", [TurnRequest("endless", [], {})])
            turn_id = accepted.turns[0].turn.id

            async def runs() -> bool:
                return bool((await services.store.get_turn(turn_id)).turn.status is TurnStatus.RUNNING)

            await eventually(runs)
    store = open_store(settings.store)
    placed = await store.get_turn(turn_id)
    await store.close()
    assert placed is not None
    assert placed.turn.status is TurnStatus.ERROR
    assert json.loads(placed.turn.error or b"")["type"] == "interrupted"
