"""How a client that submits wants to be answered: at once, with the ended turn, or with the turn's events."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import InvalidRequest
from .answers import RawHeader
from .cursors import Asked
from .event_query import query_of, seen_of
from .heads import Heads, texts
from .queries import MAX_WAIT

EVENT_STREAM = "text/event-stream"
PARAMETERS = frozenset({"on_disconnect"})

_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
"""Of a list in a header; a comma within a quoted string separates nothing (RFC 9110 §5.6.1, §5.6.4)."""
_PREFERENCE = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,18})\"?\s*(?:;.*)?", re.IGNORECASE)


class Wishes(NamedTuple):
    """``wait`` in seconds, None if the answer shall not wait; ``events``: from where to stream, None if JSON will do.

    ``cancel``: cancel the turn if the client goes away before the turn's end has been told.
    """

    wait: int | None = None
    events: Asked | None = None
    cancel: bool = False

    @property
    def applied(self) -> tuple[RawHeader, ...]:
        """The preference that was honoured (RFC 7240 §3)."""
        if self.wait is None or self.events is not None:
            return ()
        return ((b"preference-applied", b"wait=%d" % self.wait),)


NONE = Wishes()


def wishes_of(query: bytes, heads: Heads) -> Wishes:
    """Raises InvalidRequest for a query that is not known or asks for nothing, MalformedCursor."""
    prefer, accept = heads.get(b"prefer", ()), heads.get(b"accept", ())
    if not (query or prefer or accept):
        return NONE
    wait = waiting_time(texts(prefer))
    events = seen_of(heads) if wants_events(texts(accept)) else None
    return Wishes(wait, events, cancel=bool(query) and _cancels(query, answers_at_once=wait is None and events is None))


def waiting_time(prefer: Iterable[str]) -> int | None:
    """Seconds of ``wait`` in the Prefer headers, the first one that is well-formed (RFC 7240 §2, §4.3), up to 60.

    What is not known or malformed is as good as absent, because a preference is not a demand.
    """
    for preference in _ELEMENT.findall(",".join(prefer)):
        if found := _PREFERENCE.fullmatch(preference):
            return min(int(found[1]), MAX_WAIT)
    return None


def wants_events(accept: Iterable[str]) -> bool:
    """Whether an event stream is named, and is not liked less than JSON (RFC 9110 §12.5.1).

    A range does not name it: ``*/*`` is what every client sends that has not thought about it.
    """
    likes: dict[str, float] = {}
    for each in _ELEMENT.findall(",".join(accept)):
        name, *parameters = (part.strip().lower() for part in each.split(";"))
        likes.setdefault(name, _quality(parameters))
    events = likes.get(EVENT_STREAM, 0.0)
    json = next((likes[name] for name in ("application/json", "application/*", "*/*") if name in likes), 0.0)
    return events > 0 and events >= json


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _cancels(query: bytes, *, answers_at_once: bool) -> bool:
    asked = query_of(query, PARAMETERS).get("on_disconnect")
    if asked != "cancel":
        raise _invalid("must be cancel")
    if answers_at_once:
        raise _invalid("needs Prefer: wait=… or Accept: text/event-stream: else the answer comes at once")
    return True


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest("The query is not valid.", errors=[{"pointer": "on_disconnect", "detail": problem}])
