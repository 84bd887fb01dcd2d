"""Imports without garbage collection."""

import gc
import weakref

import pytest

from pygents_app.cli.uncollected import uncollected


class Cycle:
    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def thawed() -> object:
    yield
    gc.unfreeze()


def test_garbage_from_before_is_not_kept_for_ever() -> None:
    gone = weakref.ref(Cycle())
    with uncollected():
        assert gone() is None


def test_nothing_is_collected_meanwhile_and_it_goes_on_afterwards() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_has_turned_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
