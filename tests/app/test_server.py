"""What the server sets for its whole process."""

import gc
import sys
from collections.abc import Iterator

import pytest

from pygents_app import server


@pytest.fixture
def interval() -> Iterator[None]:
    kept = sys.getswitchinterval()
    yield
    sys.setswitchinterval(kept)


@pytest.mark.usefixtures("interval")
class TestInterpreter:
    def test_pythons_own_interval_is_made_shorter(self) -> None:
        sys.setswitchinterval(server.PYTHONS_SWITCH_SECONDS)
        server.share_interpreter()
        assert sys.getswitchinterval() == pytest.approx(server.SWITCH_SECONDS)

    def test_one_that_the_users_code_has_set_stays(self) -> None:
        sys.setswitchinterval(0.003)
        server.share_interpreter()
        assert sys.getswitchinterval() == pytest.approx(0.003)


def test_what_is_there_at_the_start_is_not_looked_through_again() -> None:
    thresholds = gc.get_threshold()
    try:
        server.settle_memory()
        assert gc.get_freeze_count() > 1000
        assert (gc.get_threshold(), gc.isenabled()) == (thresholds, True)  # tools leave cycles, too
    finally:
        gc.unfreeze()
