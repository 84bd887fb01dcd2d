"""Places for running turns: reserved before a turn may begin, given back whatever happens."""

import pytest

from pygents_app.commands import Starter
from pygents_app.runtime.capacity import Capacity


def capacity(concurrency: int) -> Capacity:
    return Capacity(starter=Starter("n", frozenset({"free"})), concurrency=concurrency)


def test_many_commands_of_one_moment_cannot_overshoot() -> None:
    places = capacity(2)
    with places.starting() as first, places.starting() as second, places.starting() as third:
        assert (first, second) == (places.following(), places.following())
        assert third is None
        assert places.free == 0
    assert places.free == 2


def test_a_place_comes_back_after_an_error() -> None:
    places = capacity(1)
    with pytest.raises(ValueError, match="on purpose"), places.starting():
        raise ValueError("on purpose")
    assert places.free == 1


def test_running_turns_take_places() -> None:
    places = capacity(3)
    places.busy = lambda: 2
    assert places.free == 1
    with places.starting() as starter, places.starting() as none:
        assert starter is not None
        assert none is None


def test_draining_begins_nothing() -> None:
    places = capacity(3)
    assert places.accepts()
    places.draining = True
    with places.starting() as starter:
        assert starter is None
    assert places.following() is None
    assert places.holding("locked") is None
    assert not places.accepts()


def test_a_held_lock_allows_its_tool_only() -> None:
    starter = capacity(1).holding("locked")
    assert starter is not None
    assert starter.tools == {"locked"}


def test_where_agents_wait_for_a_place_the_next_turn_of_one_that_has_it_waits_too() -> None:
    places = capacity(1)
    places.crowded = True
    assert places.following() is None


def test_a_place_that_is_given_back_is_told() -> None:
    """Also when the command began nothing: nobody else would tell those that found no place."""
    places, told = capacity(1), list[int]()
    places.freed = lambda: told.append(places.free)
    with places.starting(), places.starting() as none:
        assert none is None
    assert told == [1]
