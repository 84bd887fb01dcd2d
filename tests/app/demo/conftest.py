"""An endpoint to talk with, and nothing of the developer's own settings of the same names."""

import os
from collections.abc import AsyncIterator

import pytest

from pygents_app.demo.completions import client
from tests.app.demo.endpoint import Endpoint, listening

KEY = "sk-of-the-tests"


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    """It is what the environment names, for this process and those that it starts; no proxy is on the way."""
    for name in list(os.environ):
        if name.startswith("OPENAI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    async with listening() as found:
        monkeypatch.setenv("OPENAI_BASE_URL", found.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield found
        await client().aclose()
