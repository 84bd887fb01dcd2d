"""A seed names a campaign: what its clients do follows from it, whatever the server answers."""

import asyncio
import json
from itertools import count
from typing import Any, cast

import pytest

from tests.faults.chaos.clients import Client
from tests.faults.chaos.ledger import Ended, Ledger
from tests.faults.chaos.wire import Answer, NoAnswer, Wire
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

Asked = tuple[str, str, object]
ENOUGH = 60


class Script:
    """Stands for a server that gives everything the same answer, and for its clients' patience."""

    def __init__(self, status: int) -> None:
        self._status, self._numbers = status, count()
        self.asked: list[Asked] = []

    async def request(self, method: str, path: str, body: object = None, *, key: str | None = None) -> Answer:
        await asyncio.sleep(0)
        self.asked.append((method, path, body))
        ids = [{"id": f"t{next(self._numbers)}"} for _ in cast(list[object], body)] if isinstance(body, list) else []
        answer: Any = {"items": ids} if ids else {"id": f"t{next(self._numbers)}", "turn": {"status": "completed"}}
        return Answer(self._status, json.dumps(answer).encode())

    def choices(self) -> list[Asked]:
        """What does not name a turn of an earlier answer."""
        return [asked for asked in self.asked if not asked[1].endswith("/cancel")][:ENOUGH]


async def asked(seed: str, status: int) -> list[Asked]:
    script = Script(status)
    client = Client("c0", seed, cast(Wire, script), Ledger())
    living = asyncio.ensure_future(client.live())
    await eventually(lambda: len(script.choices()) == ENOUGH)
    client.stopping = True
    await living
    return script.choices()


async def test_choices_follow_from_the_seed() -> None:
    accepted, refused, other = await asked("1", 202), await asked("1", 422), await asked("2", 202)
    assert accepted == refused
    assert accepted != other


async def test_without_an_answer_nobody_knows() -> None:
    class Dead(Script):
        async def request(self, method: str, path: str, body: object = None, *, key: str | None = None) -> Answer:
            self.asked.append((method, path, body))
            raise NoAnswer

    script, ledger = Dead(0), Ledger()
    client = Client("c0", "1", cast(Wire, script), ledger)
    living = asyncio.ensure_future(client.live())
    await eventually(lambda: len(script.asked) > 1)
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    assert {each.ended for each in ledger.operations} == {Ended.UNKNOWN}
    assert not any(each.refused for each in ledger.operations)
