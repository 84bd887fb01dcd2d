"""Drives a coroutine in a context of its own, and lets it hand values over while it runs."""

import types
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import Any

from ._deadline import Abandoned, Deadline

# What a driven coroutine yields instead of a future when it has a value for its reader …
HANDOFF = object()
# … and what stands for its end.
END = object()


@types.coroutine
def hand_over() -> Generator[object, None, None]:
    """Suspend the driven coroutine until its reader wants to go on; Abandoned if it never will."""
    yield HANDOFF


class Drive:
    """One coroutine that is driven step by step: ``run(body.send, None)`` gives the first signal of a step.

    A step ends with HANDOFF or with StopIteration. Any other signal is for the event loop: ``relay()`` passes it on.
    The context is a copy, so that what the coroutine sets is seen by all that it starts, and by nobody else: the body
    of an async generator would run in the context of whoever reads it.
    """

    __slots__ = ("_deadline", "body", "output", "run")

    def __init__(self, body: Coroutine[Any, Any, Any], deadline: Deadline) -> None:
        self.body = body
        self.run = copy_context().run
        self.output: Any = None
        self._deadline = deadline

    async def to_end(self) -> Any:
        """Drive a coroutine that hands nothing over, and return what it returns."""
        try:
            signal = self.run(self.body.send, None)
        except StopIteration as end:
            return end.value
        await self.relay(signal)
        return self.output

    @types.coroutine
    def relay(self, signal: object) -> Generator[object, Any, object]:
        """Pass what the coroutine waits for to the event loop, and the answers back, until HANDOFF or END."""
        deadline = self._deadline
        try:
            while signal is not HANDOFF:
                deadline.suspended()
                try:
                    answer = yield signal
                except GeneratorExit:
                    deadline.is_abandoned = True
                    self.run(self.body.close)
                    raise
                except BaseException as error:
                    deadline.interrupted(error)
                    thrown = error
                else:
                    deadline.resumed()
                    signal = self.run(self.body.send, answer)
                    continue
                try:  # not while it is handled above: that would make it the __context__ of all that the code raises
                    signal = self.run(self.body.throw, thrown)
                finally:
                    del thrown  # its traceback and this frame hold each other
        except StopIteration as end:
            self.output = end.value
            return END
        return HANDOFF

    async def abandon(self) -> None:
        """End a coroutine that has handed a value over and will not be asked for another: it may clean up."""
        self._deadline.is_abandoned = True
        try:
            await self.relay(self.run(self.body.throw, Abandoned()))
        except (Abandoned, StopIteration):
            return
