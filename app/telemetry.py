"""What happens inside, told to whoever wants to count or to write it down: one ``emit``, and handlers by kind.

What commits change is not told here: a store has listeners for that (``ports.Notice``).
"""

import logging
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

log = logging.getLogger("pygents.telemetry")


class Committed(NamedTuple):
    """The store has decided a batch of commands and has written what that took. On the committer's thread."""

    commands: int
    seconds: float


class CommitFailed(NamedTuple):
    """A batch could not be committed as a whole. ``reason`` is the type of the problem. On the committer's thread."""

    reason: str


class Entered(NamedTuple):
    """A begun turn has come to its tool's code, ``seconds`` after it began. On a worker's thread."""

    seconds: float


class Answered(NamedTuple):
    """A request was answered, or its stream opened. ``route`` is the pattern that matched; "": none did.

    ``status`` 0: its client went away first. On the HTTP loop.
    """

    method: str
    route: str
    status: int
    seconds: float


class Replayed(NamedTuple):
    """A page of the store was read for streams that the ring could not serve. On the HTTP loop."""

    events: int


class Dropped(NamedTuple):
    """A stream was cut because its client did not take what it was sent. On the HTTP loop."""


Limit = Literal["rate", "turns", "wrong_keys", "streams", "slow_head", "slow_body"]


class Refused(NamedTuple):
    """A caller has come to a bound on how much it may ask for. On the HTTP loop."""

    limit: Limit


class Lagged(NamedTuple):
    """How long an event loop let a callback wait that was due. On the HTTP loop."""

    loop: Literal["http", "worker"]
    seconds: float


class Blocked(NamedTuple):
    """Code was found that does not give its event loop back. On the HTTP loop."""


Happening = Committed | CommitFailed | Entered | Answered | Replayed | Dropped | Refused | Lagged | Blocked
Emit = Callable[[Happening], None]

H = TypeVar("H", bound=Happening)


class Telemetry:
    """Handlers are attached before anything happens; they run where it happens, and must return at once."""

    def __init__(self) -> None:
        self._handlers: dict[type[Any], tuple[Callable[[Any], None], ...]] = {}

    def attach(self, kind: type[H], handler: Callable[[H], None]) -> None:
        """Call ``handler`` with everything of this kind."""
        self._handlers[kind] = (*self._handlers.get(kind, ()), handler)

    def emit(self, happening: Happening) -> None:
        """Never raises: a handler that fails is logged, and whoever tells goes on."""
        for handler in self._handlers.get(type(happening), ()):
            try:
                handler(happening)
            except Exception:
                log.exception("a handler of %s failed", type(happening).__name__)


def silent(_happening: Happening) -> None:
    """Nobody listens."""
