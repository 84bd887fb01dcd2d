"""Where streams begin: a table of what was asked for and what the log has."""

import pytest

from pygents_app.api.cursors import Asked, Opening, open_agent, open_turn
from pygents_app.errors import EventsGone
from pygents_app.model import Turn, TurnSpec, TurnStatus


def turn(first: int, last: int, *, ended: bool = False) -> Turn:
    return Turn(TurnSpec("t", "a", "greet"), TurnStatus.COMPLETED if ended else TurnStatus.QUEUED, 0, first, last)


def reason(opening: Opening | None) -> str | None:
    assert opening is not None
    return opening.reset.decode().partition('"reason":"')[2].partition('"')[0] or None


class TestAgent:
    @pytest.mark.parametrize(
        ("asked", "cursor", "why"),
        [
            (Asked(), 9, None),
            (Asked(given=9), 9, None),
            (Asked(given=15), 15, None),
            (Asked(given=20), 20, None),
            (Asked(latest=True), 20, None),
            (Asked(tail=5), 15, None),
            (Asked(tail=100), 9, None),
            (Asked(given=8), 9, "retention"),
            (Asked(given=21), 9, "unknown"),
            (Asked(given=15, lost=True), 9, "restored"),
        ],
    )
    def test_of_a_log_from_10_to_20(self, asked: Asked, cursor: int, why: str | None) -> None:
        opening = open_agent(asked, earliest=10, latest=20)
        assert (opening.cursor, reason(opening)) == (cursor, why)

    def test_of_an_empty_log(self) -> None:
        assert open_agent(Asked(given=20), earliest=21, latest=20) == Opening(20)
        assert open_agent(Asked(), earliest=21, latest=20) == Opening(20)


class TestTurn:
    @pytest.mark.parametrize("given", [None, 3, 4])
    def test_what_was_not_seen_is_gone(self, given: int | None) -> None:
        with pytest.raises(EventsGone):
            open_turn(Asked(given=given), turn(5, 5), earliest=10, latest=20)

    @pytest.mark.parametrize(("given", "cursor"), [(5, 9), (7, 9), (9, 9), (15, 15)])
    def test_who_has_seen_what_is_gone_goes_on(self, given: int, cursor: int) -> None:
        """The turn waits: its first event, the only one so far, is no longer retained."""
        assert open_turn(Asked(given=given), turn(5, 5), earliest=10, latest=20) == Opening(cursor)

    def test_half_of_a_turn(self) -> None:
        with pytest.raises(EventsGone):
            open_turn(Asked(given=6), turn(5, 12), earliest=10, latest=20)
        assert open_turn(Asked(given=9), turn(5, 12), earliest=10, latest=20) == Opening(9)

    def test_an_ended_one_that_is_gone(self) -> None:
        assert open_turn(Asked(given=8), turn(5, 8, ended=True), earliest=10, latest=20) is None
        with pytest.raises(EventsGone):
            open_turn(Asked(given=7), turn(5, 8, ended=True), earliest=10, latest=20)

    def test_a_cursor_that_a_restore_has_lost(self) -> None:
        opening = open_turn(Asked(given=15, lost=True), turn(12, 12), earliest=10, latest=20)
        assert opening is not None
        assert (opening.cursor, reason(opening)) == (11, "restored")
