"""Waiting for the end of a turn: what was heard before its id was known, and what comes later."""

import asyncio

import pytest

from pygents_app.model import Turn, TurnSpec, TurnStatus
from pygents_app.streaming.endings import Endings

pytestmark = pytest.mark.anyio


def ended(turn_id: str) -> Turn:
    return Turn(TurnSpec(turn_id, "a", "t"), TurnStatus.COMPLETED, 0, 1, 4)


async def test_an_end_that_came_before_the_id_was_known() -> None:
    endings = Endings()
    with endings.hearing() as heard:
        endings.ended([ended("other"), ended("mine")])
        listening = endings.waiting("mine", heard)
    with listening as ending:
        assert ending.done()
        assert ending.result() is None  # to be read: what is heard of all turns is not kept


async def test_an_end_that_comes_later_is_told_to_all_who_wait() -> None:
    endings = Endings()
    with endings.hearing() as heard:
        listening = endings.waiting("mine", heard)
    with listening as first, endings.waiting("mine") as second:
        assert not first.done()
        endings.ended([ended("mine")])
        assert first.result() == second.result() == ended("mine")


async def test_nothing_is_kept() -> None:
    endings = Endings()
    with pytest.raises(asyncio.CancelledError), endings.hearing() as heard, endings.waiting("mine", heard):
        assert len(endings) == 2
        raise asyncio.CancelledError
    assert not len(endings)


async def test_who_waits_is_released_without_a_turn() -> None:
    endings = Endings()
    with endings.waiting("mine") as ending:
        endings.release()
        assert ending.result() is None
