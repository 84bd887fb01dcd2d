"""What guarding and counting do to one submit: the service's own objects, each alone and warm.

In place each takes up to twice as long, as with the other parts of a submit (``parts``).
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.routing import Route
from starlette.types import Scope

from pygents_app.access.records import AccessKey
from pygents_app.api import scopes
from pygents_app.api.access_log import AccessLog, Exchanges
from pygents_app.api.caller import CALLER
from pygents_app.api.heads import HEADS
from pygents_app.api.services import Services
from pygents_app.api.submit import PATH
from pygents_app.api.turnstile import Turnstile
from pygents_app.auth import Principal, digest_of, new_token
from pygents_app.clock import new_id, system_clock
from pygents_app.grants import parse_grant
from pygents_app.logs.forms import ForPrograms
from pygents_app.main import create_app
from pygents_app.metrics.counting import Counting
from pygents_app.model import Event, EventType
from pygents_app.ports import Notice
from pygents_app.settings import Settings
from pygents_app.telemetry import Committed, Telemetry

from .harness import Dose, Sample, Table
from .parts import timed
from .submit import CONNECTIONS

ADMITS, ALLOWS = "find out whose key it is", "look whether the key allows it"
LIMITS, REQUEST = "count it for its caller", "count the answer"
COMMIT, LINE = f"count a commit, of {CONNECTIONS} submits", "the access log, with the lines of one in a hundred"
SECONDS = 0.005


class _Part(NamedTuple):
    """``submits``: what one call is for."""

    call: Callable[[], object]
    submits: int = 1


@dataclass(slots=True)
class _Given:
    """What a submit is answered."""

    status: int
    size: int
    headers: list[tuple[bytes, bytes]]


async def measure(dose: Dose, settings: Mapping[str, Any], scope: str, whole: float) -> Table:
    """A caller with that scope of a service with these ``settings``, which are to have an admin key and a rate.

    ``whole``: microseconds of CPU that a submit takes without any of this.
    """
    service = create_app(Settings(store="memory://", **settings), []).state.service
    try:
        with _logging():
            parts = {**_admitting(service.services, scope), **_counting()}
            rows = {
                name: [_sample(each, part, whole) for each in timed(part.call, dose)] for name, part in parts.items()
            }
    finally:
        await service.close()
    return Table("parts of guarding and counting a submit", ADMITS, rows)


def _sample(timed: Sample, part: _Part, whole: float) -> Sample:
    each = timed["µs"] / part.submits
    return {"µs": each, "% of a submit": each / whole * 100}


def _admitting(its: Services, scope: str) -> dict[str, _Part]:
    key_id, secret = new_token()
    key = AccessKey(key_id, "the bench", digest_of(secret), (parse_grant(scope),), system_clock())
    its.gate.put(key)
    sent, principal, asked = [f"Bearer {secret}".encode()], Principal.of(key.id, key.name, key.grants), _asked()
    turnstile = Turnstile(rates=its.rates, emit=its.emit)
    return {
        ADMITS: _Part(lambda: its.gate.admit(sent, (), chosen=turnstile.may_guess(asked))),
        LIMITS: _Part(lambda: turnstile.enter(asked, principal)),
        ALLOWS: _Part(lambda: scopes.check(principal, asked["method"], asked["path"])),
    }


def _counting() -> dict[str, _Part]:
    telemetry, counting = Telemetry(), Counting()
    counting.listen(telemetry)
    hot = Route(PATH, lambda request: None, methods=["POST"])
    exchanges = Exchanges(access=AccessLog("off"), hot=[hot], emit=telemetry.emit)
    access, asked, given = AccessLog("sampled"), _asked(), _given()
    notice = Notice(events=[_queued(number) for number in range(CONNECTIONS)])

    def commit() -> None:
        counting.hear(notice)
        telemetry.emit(Committed(CONNECTIONS, SECONDS))

    return {
        REQUEST: _Part(lambda: exchanges.ended(asked, given, SECONDS)),
        COMMIT: _Part(commit, CONNECTIONS),
        LINE: _Part(lambda: access.note(asked, given, SECONDS)),
    }


def _asked() -> Scope:
    path = "/agents/a7/turns"
    return {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "client": ("127.0.0.1", 50_000), "path_params": {"name": "a7"}, HEADS: {}, CALLER: "0123456789ab",
    }  # fmt: skip


def _given() -> _Given:
    location = f"/agents/a7/turns/{new_id()}".encode()
    return _Given(202, 700, [(b"content-type", b"application/json"), (b"location", location)])


def _queued(number: int) -> Event:
    return Event(f"a{number}", 7, EventType.TURN_QUEUED, new_id(), None, system_clock(), b"{}")


@contextmanager
def _logging() -> Iterator[None]:
    """As the service does it with JSON lines, to where nothing is kept."""
    log = logging.getLogger("pygents.access")
    with open(os.devnull, "w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(ForPrograms())
        level, propagates = log.level, log.propagate
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
            log.propagate = propagates
