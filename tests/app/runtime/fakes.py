"""A store that takes commands and answers when the test says so, and a turn that was begun."""

import asyncio
from typing import Any

from pygents_app.commands import Append, Finish, Release
from pygents_app.model import Begun, Definition, Fence, Turn, TurnSpec, TurnStatus

BEGUN = Begun(Turn(TurnSpec("t", "a", "tool"), TurnStatus.RUNNING, 0, 1, 1), Fence("n", 1), Definition("a"))


async def ticks() -> None:
    """Let the loop do all that is ready, and what that makes ready."""
    for _ in range(5):
        await asyncio.sleep(0)


class FakeStore:
    """Allows one command at a time: whoever writes for a turn waits for the answer before it goes on."""

    def __init__(self) -> None:
        self.sent: list[Append | Finish | Release] = []
        self._answers: list[asyncio.Future[Any]] = []

    def execute(self, command: Append | Finish | Release) -> "asyncio.Future[Any]":
        assert all(answer.done() for answer in self._answers), "two commands under way"
        self.sent.append(command)
        self._answers.append(asyncio.get_running_loop().create_future())
        return self._answers[-1]

    async def answer(self, error: Exception | None = None) -> None:
        """The command under way is done, or fails with ``error``."""
        if error is None:
            self._answers[-1].set_result(None)
        else:
            self._answers[-1].set_exception(error)
        await ticks()

    async def asked(self, times: int) -> None:
        """Wait for that many commands; the last is then under way."""
        async with asyncio.timeout(2):
            while len(self.sent) < times:
                await ticks()

    @property
    def values(self) -> list[tuple[bytes, ...]]:
        return [command.values for command in self.sent if isinstance(command, Append)]

    @property
    def end(self) -> Finish:
        """The last command, which is the turn's end."""
        last = self.sent[-1]
        assert isinstance(last, Finish), last
        return last
