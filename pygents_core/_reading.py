"""How values get from attempts to their reader."""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from ._attempt import Attempt
from ._drive import END, HANDOFF


class Attempts(Protocol):
    """Where the attempts come from that one reader reads."""

    async def following(self) -> Attempt | None:
        """The next one, once the last has ended; None if there is no more."""

    def stop(self) -> None:
        """Nobody will ask again, for whatever reason. Not called if nobody ever asked."""


class Once:
    """A single attempt."""

    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt: Attempt | None = attempt

    async def following(self) -> Attempt | None:
        attempt, self._attempt = self._attempt, None
        return attempt

    def stop(self) -> None:
        pass


async def read(attempts: Attempts, *, pairs: bool) -> AsyncGenerator[Any, None]:
    """Drive one attempt after the other and yield their values, or pairs of turn and value. Nothing runs ahead."""
    try:
        while (attempt := await attempts.following()) is not None:
            turn, drive = attempt.turn, await attempt.start()
            run, send = drive.run, drive.body.send
            while True:
                try:
                    signal = run(send, None)
                except StopIteration:
                    break
                if signal is not HANDOFF and await drive.relay(signal) is END:
                    break
                try:
                    yield (turn, attempt.value) if pairs else attempt.value
                except BaseException:  # the reader closed it
                    await drive.abandon()
                    raise
            if attempt.has_value:
                yield (turn, attempt.value) if pairs else attempt.value
    finally:
        attempts.stop()
