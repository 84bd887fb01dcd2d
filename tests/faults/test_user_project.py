"""Projects as users have them: with packages named like folders of this service, with helpers beside the file."""

from pathlib import Path

import pytest

from tests.caller import calling
from tests.service import serving

pytestmark = pytest.mark.anyio

FILES = {
    "app/__init__.py": "NAME = 'their app'\n",
    "app/models.py": "from dataclasses import dataclass\n\n@dataclass\nclass Order:\n    number: int\n",
    "store/__init__.py": "from app import NAME\n\ndef label(number): return f'{NAME} {number}'\n",
    "runtime.py": "SPEED = 3\n",
    "tests/__init__.py": "",
    "shop.py": """
import app
import runtime
import store
from app.models import Order
from pygents_core import Agent, tool

@tool()
async def order(order: Order) -> dict:
    return {"label": store.label(order.number), "app": app.NAME, "speed": runtime.SPEED}

Agent("shop", "Takes orders", [order])
""",
}


@pytest.mark.parametrize("given", ["shop.py", "shop"])
async def test_packages_of_the_same_names(tmp_path: Path, given: str) -> None:
    for name, content in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "data").mkdir()
    with serving(tmp_path / "data", given, cwd=tmp_path / "project") as service:
        async with calling(service.url) as caller:
            turn = await caller.do("shop", "order", kwargs={"order": {"number": 7}})
    assert turn["output"] == {"label": "their app 7", "app": "their app", "speed": 3}
