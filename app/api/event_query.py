"""Query parameters and headers of the event routes, read strictly: a typing error must not become another request."""

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import parse_qsl

from ..errors import InvalidRequest
from ..model import EventType
from ..streaming.sse import parse_cursor
from .cursors import Asked
from .heads import Heads, texts
from .queries import MAX_ITEMS


def query_of(query_string: bytes, known: Collection[str]) -> dict[str, str]:
    """The parameters by name. Raises ``InvalidRequest`` for one that is not known or given twice."""
    pairs = pairs_of(query_string)
    names = [name for name, _ in pairs]
    for name in names:
        if name not in known:
            raise _invalid(name, f"is not known here; known are {', '.join(sorted(known))}")
        if names.count(name) > 1:
            raise _invalid(name, "is given more than once")
    return dict(pairs)


def pairs_of(query_string: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)


def asked_of(query: Mapping[str, str], headers: Iterable[tuple[bytes, bytes]]) -> Asked:
    """``Last-Event-ID`` wins over ``?after=``, that over ``?tail=``; all that are given must be well-formed.

    Raises ``MalformedCursor`` or ``InvalidRequest``.
    """
    seen = parse_cursor(_last_event_id(headers))
    after = query.get("after", "")
    latest = after == "latest"
    given = None if latest else parse_cursor(after)
    tail = count_of(query, "tail")
    if seen is not None:
        return Asked(given=seen)
    return Asked(given=given, latest=latest, tail=tail)


def seen_of(heads: Heads) -> Asked:
    """What ``Last-Event-ID`` alone says. Raises ``MalformedCursor``."""
    return Asked(given=parse_cursor(texts(heads.get(b"last-event-id", (b"",)))[0]))


def count_of(query: Mapping[str, str], name: str) -> int | None:
    """A number of items, 1 to 1000, or None if absent; raises ``InvalidRequest`` for all else."""
    given = query.get(name)
    if given is None:
        return None
    if len(given) > 4 or not (given.isascii() and given.isdigit()) or not 1 <= int(given) <= MAX_ITEMS:
        raise _invalid(name, f"must be a number from 1 to {MAX_ITEMS}, not {given[:40]!r}")
    return int(given)


def types_of(query: Mapping[str, str]) -> frozenset[EventType] | None:
    """The types of a comma list; None (all) if it is absent. Raises ``InvalidRequest`` for unknown ones or none."""
    if "types" not in query:
        return None
    known = {type_.value: type_ for type_ in EventType}
    names = query["types"].split(",")
    for name in names:
        if name not in known:
            raise _invalid("types", f"knows no {name[:40]!r}; known are {', '.join(known)}")
    return frozenset(known[name] for name in names)


def _last_event_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == b"last-event-id"), "")


def _invalid(name: str, problem: str) -> InvalidRequest:
    detail = f"the query parameter {name[:40]} {problem}"
    return InvalidRequest(detail, errors=[{"pointer": name[:40], "detail": problem}])
