"""Where a stream begins: pure decisions on what the client asked for and what the log still has."""

from msgspec import Struct

from ..errors import EventsGone
from ..model import Turn
from ..streaming import sse


class Asked(Struct, frozen=True, gc=False):
    """What a client said about where it wants to begin; ``given`` is a seq that it has seen, from header or query.

    ``lost``: no event has that seq any more, because a restore from a backup has jumped over it.
    """

    given: int | None = None
    latest: bool = False
    tail: int | None = None
    lost: bool = False


class Opening(Struct, frozen=True, gc=False):
    """The cursor that a stream starts at, and the frame that says why it is not the one asked for."""

    cursor: int
    reset: bytes = b""


def open_agent(asked: Asked, *, earliest: int, latest: int) -> Opening:
    """Without a wish: the oldest retained event, so that who posts first and listens second still sees the result."""
    start = earliest - 1
    if asked.given is not None:
        return _resume(asked.given, earliest, latest, lost=asked.lost)
    if asked.latest:
        return Opening(latest)
    return Opening(start if asked.tail is None else max(start, latest - asked.tail))


def open_turn(asked: Asked, turn: Turn, *, earliest: int, latest: int) -> Opening | None:
    """Begin no earlier than the turn does. None if the client has seen its end: there is nothing more to come.

    Raises ``EventsGone`` if events of the turn that the client has not seen are no longer retained. A turn that waits
    long may lose its first ones; who has seen those goes on.
    """
    start = turn.first_seq - 1
    end = turn.last_seq if turn.ended else latest
    wished = _wish(asked, start, end)
    if turn.ended and wished >= end:
        return None
    if turn.first_seq < earliest and not min(turn.last_seq, earliest - 1) <= wished <= latest:
        raise EventsGone(f"the events of turn {turn.id} are no longer retained", earliest=earliest)
    if wished > latest or asked.lost:
        reason: sse.Reset = "restored" if asked.lost else "unknown"
        return Opening(max(start, earliest - 1), sse.reset(reason, wished, earliest, latest))
    return Opening(max(start, wished, earliest - 1))


def _wish(asked: Asked, start: int, end: int) -> int:
    if asked.given is not None:
        return asked.given
    if asked.latest:
        return end
    return start if asked.tail is None else end - asked.tail


def _resume(cursor: int, earliest: int, latest: int, *, lost: bool) -> Opening:
    if cursor > latest:
        return Opening(earliest - 1, sse.reset("unknown", cursor, earliest, latest))
    if lost:
        return Opening(earliest - 1, sse.reset("restored", cursor, earliest, latest))
    if cursor < earliest - 1:
        return Opening(earliest - 1, sse.reset("retention", cursor, earliest, latest))
    return Opening(cursor)
