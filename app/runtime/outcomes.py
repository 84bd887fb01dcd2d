"""How an execution ended, as a value: pure, so that every way out is a line in a test."""

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum

from pygents_core.errors import HookFailed, HopLimitError, MailboxFullError

from .. import payloads
from ..model import Outcome, TurnStatus

MESSAGE_LIMIT = 4096
"""Characters of an exception's text that are kept: it comes from the user's code and may be of any size."""
NAME_LIMIT = 128
"""Characters of its class's name."""

OUTPUT_VALUES = 1000
OUTPUT_BYTES = 256 * 1024
"""A generator's output is its list of values up to here, else null: the values are in the log."""


class Stop(StrEnum):
    """Why the service itself asked the code to stop."""

    CANCEL = "cancel"
    DRAIN = "drain"


class ValueRefused(Exception):
    """A value that cannot be logged. ``cause``: ``not_json``, ``too_large`` or ``too_many_values``."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class ToolRemoved(Exception):
    """The agent does not have the turn's tool any more."""


class DamagedTurn(Exception):
    """What is stored of the turn is not what was asked for."""


CANCELLED = Outcome(TurnStatus.CANCELLED)
TIMED_OUT = Outcome(TurnStatus.TIMEOUT)
DRAINED = Outcome(
    TurnStatus.ERROR,
    error=payloads.error("interrupted", "The service shut down while the turn was running; it was not run again."),
    interrupted=True,
    spares_attempt=True,
    passing=payloads.error("interrupted", "The service shut down while the turn was running."),
)


def outcome_of(
    error: BaseException | None, output: bytes | None, *, timed_out: bool = False, stop: Stop | None = None
) -> Outcome:
    """``error``: what the code ended with, None if it returned. ``timed_out``: by the turn's own limit, no other."""
    match error:
        case None:
            return Outcome(TurnStatus.COMPLETED, output=output)
        case _ if timed_out:
            return TIMED_OUT
        case asyncio.CancelledError() if stop is Stop.CANCEL:
            return CANCELLED
        case asyncio.CancelledError() if stop is Stop.DRAIN:
            return DRAINED
        case _:
            return Outcome(TurnStatus.ERROR, error=payloads.error(_type(error), text_of(error)))


_OURS: Mapping[type[Exception], str] = {
    DamagedTurn: "damaged",
    ToolRemoved: "tool_removed",
    HookFailed: "hook",
    MailboxFullError: "mailbox_full",
    HopLimitError: "HopLimit",
}


def _type(error: BaseException) -> str:
    if isinstance(error, ValueRefused):
        return error.cause
    own = next((name for type_, name in _OURS.items() if isinstance(error, type_)), None)
    return own or _clean(lambda: type(error).__name__, NAME_LIMIT, "Exception")


def text_of(error: BaseException) -> str:
    """The exception's text, bounded, whatever the user's code makes of it."""
    return _clean(lambda: str(error), MESSAGE_LIMIT, "(the exception's text could not be made)")


def _clean(make: Callable[[], str], limit: int, otherwise: str) -> str:
    """What can be written as UTF-8, at most ``limit`` characters. A metaclass may make even names in its own way."""
    try:
        return make()[:limit].encode(errors="backslashreplace").decode()[:limit]
    except BaseException:
        return otherwise


class Output:
    """Gathers what becomes the turn's output: the one value of a coroutine, the list of a generator's."""

    def __init__(self, *, streaming: bool) -> None:
        self._streaming = streaming
        self._kept: list[bytes] | None = []
        self._size = 0

    def add(self, value: bytes) -> None:
        if self._kept is None:
            return
        self._size += len(value) + 1
        if len(self._kept) >= OUTPUT_VALUES or self._size > OUTPUT_BYTES + 1:
            self._kept = None
        else:
            self._kept.append(value)

    def encoded(self) -> bytes | None:
        if self._kept is None or (not self._streaming and not self._kept):
            return None
        return b"[" + b",".join(self._kept) + b"]" if self._streaming else self._kept[0]
