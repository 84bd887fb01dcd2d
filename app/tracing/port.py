"""What the service tells of its traces, in words that know nothing of OpenTelemetry.

Whoever may be traced holds a ``Tracing`` or None. None is the rule, and costs the question only.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from ..model import Outcome, Trace, Turn


class Exchange(Protocol):
    """The span of a request that is being answered."""

    def answered(self, status: int) -> None: ...


class Attempt(Protocol):
    """The span of one execution of a turn. It begins when the turn began, whenever it is told of that."""

    def enter(self, turn: Turn) -> None:
        """In the task of the turn's code, before it: spans that the code opens are children of this one."""
        ...

    def end(self, turn: Turn, outcome: Outcome, stored: Turn | None) -> None:
        """Once; later calls change nothing. ``turn`` as it was begun, ``stored`` as its end was stored, if it was."""
        ...


class Tracing(Protocol):
    """All of it may be called on any thread, and none of it raises or waits."""

    def exchange(
        self, method: str, route: str, path: str, scheme: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> AbstractContextManager[Exchange]:
        """A request, as the continuation of the trace that its ``traceparent`` names. A malformed one is ignored."""
        ...

    def sending(self, agent: str, tool: str) -> AbstractContextManager[object]:
        """A message to the mailbox of ``agent``: the turn that is accepted in the block comes of it."""
        ...

    def carried(self) -> Trace | None:
        """Where the code that calls is in a trace, as it is stored with a turn; None: in none."""
        ...

    def attempt(self, trace: Trace | None) -> Attempt:
        """``trace`` as it was stored with the turn; None begins a trace of its own."""
        ...

    async def close(self) -> None:
        """Send what is left, if that can be done soon."""
        ...


def nothing_carried() -> None:
    """What is carried where nothing is traced."""
