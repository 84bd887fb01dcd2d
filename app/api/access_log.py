"""What becomes of each request once it is answered: it is counted, and perhaps it has a line in the access log.

A line has the path and never the query, where stream tickets are. Whether there is one is decided at the price of a
few comparisons; only then is anything formatted.
"""

import logging
import re
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Literal

from starlette.routing import Route
from starlette.types import Scope

from ..logs.about import ABOUT
from ..telemetry import Answered, Emit, silent
from .caller import CALLER
from .guard import Given
from .heads import HEADS

Wanted = Literal["off", "errors", "sampled", "all"]
PATTERN = "pygents.pattern"
"""Where in the ASGI scope the pattern is that the path has matched."""

SLOW_SECONDS = 1.0
FIRST_OF_A_SECOND, ONE_IN = 10, 100
"""Of the requests of one second the first are logged, and of what comes beyond one in a hundred."""
MOST_PATH = 256
"""Bytes of a path that are shown: the server lets one have 64 KiB."""
WATCHERS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines. A line for each would hide all others; not so what they are refused."""
REFUSALS = frozenset({401, 403, 429})
"""Whose lines say from which address they came: of the connection, which behind a proxy is the proxy's."""

_TURN = re.compile(rb"/agents/([^/]+)/turns/([^/]+)")
log = logging.getLogger("pygents.access")


class AccessLog:
    """Decides by what is ``wanted`` which requests are logged, and logs them. For one event loop."""

    def __init__(self, wanted: Wanted, *, clock: Callable[[], float] = monotonic) -> None:
        self._wanted, self._clock = wanted, clock
        self._second = self._seen = self._unlogged = 0

    def note(self, scope: Scope, given: Given, seconds: float) -> None:
        if self._wanted == "off":
            return
        if given.status == 503:  # what passes by itself befalls every request meanwhile
            if self._is_sampled():
                self._write(logging.WARNING, scope, given, seconds)
        elif given.status >= 500 or (seconds >= SLOW_SECONDS and not _waits(scope)):
            self._write(logging.WARNING, scope, given, seconds)
        elif self._wanted == "all" or (self._wanted == "sampled" and not _watches(scope, given) and self._is_sampled()):
            self._write(logging.INFO, scope, given, seconds)

    def _is_sampled(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._seen = second, 0
        self._seen += 1
        if self._seen <= FIRST_OF_A_SECOND or self._seen % ONE_IN == 0:
            return True
        self._unlogged += 1
        return False

    def _write(self, level: int, scope: Scope, given: Given, seconds: float) -> None:
        if not log.isEnabledFor(level):
            return
        path = _shown(scope)
        unlogged, self._unlogged = self._unlogged, 0
        marks: dict[str, object] = {"caller": scope.get(CALLER) or None, "unlogged": unlogged or None}
        marks |= _turn_of(given)
        if given.status in REFUSALS and (client := scope.get("client")):
            marks["address"] = client[0]
        log.log(
            level, "%s %s %s, %.1f ms, %d bytes",
            scope["method"], path, given.status or "left", seconds * 1000, given.size,
            extra={
                "method": scope["method"], "path": path, "route": scope.get(PATTERN, ""), "status": given.status,
                "seconds": round(seconds, 6), "bytes": given.size, ABOUT: marks,
            },
        )  # fmt: skip


class Exchanges:
    """``hot``: routes that are reached without the router. ``plain``: those of which it says the endpoint only."""

    def __init__(
        self, *, access: AccessLog, hot: Iterable[Route] = (), plain: Iterable[Route] = (), emit: Emit = silent
    ) -> None:
        self._access, self._emit = access, emit
        self._hot = {(_last(route.path), len(route.param_convertors)): route.path for route in hot}
        self._plain = {route.endpoint: route.path for route in plain}

    def ended(self, scope: Scope, given: Given, seconds: float) -> None:
        scope[PATTERN] = pattern = self._pattern(scope)
        self._emit(Answered(scope["method"], pattern, given.status, seconds))
        self._access.note(scope, given, seconds)

    def _pattern(self, scope: Scope) -> str:
        """What the path has matched, which is one of few; "" for what has matched nothing."""
        if (route := scope.get("route")) is not None:
            return str(route.path)
        if (endpoint := scope.get("endpoint")) is not None:
            return self._plain.get(endpoint, "")
        parameters = scope.get("path_params")
        return self._hot.get((_last(scope["path"]), len(parameters)), "") if parameters else ""


def _last(path: str) -> str:
    return path[path.rfind("/") :]


def _shown(scope: Scope) -> str:
    """The path as it was sent, percent-encoded, without the query."""
    path: bytes = scope.get("raw_path") or scope["path"].encode(errors="backslashreplace")
    return path[:MOST_PATH].decode("ascii", "backslashreplace")


def _turn_of(given: Given) -> dict[str, str]:
    """The turn that was accepted, which leads from the request to all lines about the turn."""
    for name, value in given.headers:
        if name == b"location" and (found := _TURN.fullmatch(value)):
            return {"agent": found[1].decode(), "turn": found[2].decode()}
    return {}


def _watches(scope: Scope, given: Given) -> bool:
    return scope["path"] in WATCHERS and given.status == 200


def _waits(scope: Scope) -> bool:
    """Whether its client wanted it to take its time."""
    return b"wait=" in scope["query_string"] or any(b"wait" in wish for wish in scope[HEADS].get(b"prefer", ()))
