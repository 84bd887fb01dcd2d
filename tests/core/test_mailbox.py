import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pygents_core import Turn
from pygents_core.mailbox import InMemoryMailbox, due_time
from pygents_core.testing import scripted_tool
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

SOON = 0.02


def nobody(name: str) -> InMemoryMailbox:
    raise KeyError(name)


def names(mailbox: InMemoryMailbox) -> list[Any]:
    return [turn.metadata["name"] for turn, _ in mailbox.entries()]


@pytest.fixture
def mailbox() -> InMemoryMailbox:
    scripted_tool("anything")
    return InMemoryMailbox(resolve=nobody)


def a_turn(name: object) -> Turn[Any]:
    return Turn("anything", metadata={"name": name})


async def test_first_in_first_out(mailbox: InMemoryMailbox) -> None:
    turns = [a_turn(number) for number in range(3)]
    for turn in turns:
        await mailbox.put(turn)
    assert len(mailbox) == 3
    assert [await mailbox.pop() for _ in turns] == turns
    assert len(mailbox) == 0
    assert mailbox.take() is None


async def test_pop_waits_for_a_put(mailbox: InMemoryMailbox) -> None:
    popping = [asyncio.create_task(mailbox.pop()) for _ in range(2)]
    await asyncio.sleep(0)
    first, second = a_turn(1), a_turn(2)
    await mailbox.put(first)
    await eventually(popping[0].done)
    assert not popping[1].done()
    await mailbox.put(second)
    assert await asyncio.gather(*popping) == [first, second]


async def test_a_cancelled_pop_takes_nothing(mailbox: InMemoryMailbox) -> None:
    popping = asyncio.create_task(mailbox.pop())
    await asyncio.sleep(0)
    popping.cancel()
    await asyncio.wait([popping])
    await mailbox.put(a_turn(1))
    assert len(mailbox) == 1


async def test_delayed_turns_are_overtaken_until_they_are_due(mailbox: InMemoryMailbox) -> None:
    await mailbox.put(a_turn("later"), delay=SOON)
    await mailbox.put(a_turn("latest"), not_before=datetime.now(UTC) + timedelta(seconds=2 * SOON))
    await mailbox.put(a_turn("now"))
    assert len(mailbox) == 3
    assert names(mailbox) == ["now", "later", "latest"]
    assert [(await mailbox.pop()).metadata["name"] for _ in range(3)] == ["now", "later", "latest"]


async def test_a_turn_joins_when_it_is_due_not_when_somebody_looks(mailbox: InMemoryMailbox) -> None:
    await mailbox.put(a_turn("delayed"), delay=SOON)
    await asyncio.sleep(2 * SOON)
    await mailbox.put(a_turn("after"))
    assert names(mailbox) == ["delayed", "after"]
    assert [due for _, due in mailbox.entries()] == [None, None]


async def test_due_at_the_same_time_in_the_order_of_acceptance(mailbox: InMemoryMailbox) -> None:
    due = datetime.now(UTC) + timedelta(seconds=SOON)
    for number in range(5):
        await mailbox.put(a_turn(number), not_before=due)
    assert [(await mailbox.pop()).metadata["name"] for _ in range(5)] == list(range(5))


async def test_an_earlier_one_wakes_who_waits_for_a_later_one(mailbox: InMemoryMailbox) -> None:
    await mailbox.put(a_turn("in an hour"), delay=3600)
    popping = asyncio.create_task(mailbox.pop())
    await asyncio.sleep(0)
    await mailbox.put(a_turn("soon"), delay=SOON)
    assert (await popping).metadata["name"] == "soon"
    assert names(mailbox) == ["in an hour"]


async def test_send_goes_to_whom_the_name_belongs(mailbox: InMemoryMailbox) -> None:
    target = InMemoryMailbox(resolve=nobody)
    sender = InMemoryMailbox(resolve={"target": target}.__getitem__)
    await sender.send("target", a_turn(1), delay=3600)
    assert len(target) == 1
    assert [due is not None for _, due in target.entries()] == [True]
    with pytest.raises(KeyError):
        await mailbox.send("nobody", a_turn(2))


class TestDueTime:
    def test_at_once(self) -> None:
        assert due_time(None, None) is due_time(0, None) is due_time(-1, None) is None

    def test_refuses_both_and_a_time_without_zone(self) -> None:
        now = datetime.now(UTC)
        with pytest.raises(ValueError, match="not both"):
            due_time(1, now)
        with pytest.raises(ValueError, match="time zone"):
            due_time(None, now.replace(tzinfo=None))
