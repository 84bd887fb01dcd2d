"""Every error of the library. Each is a ``PygentsError`` and, where one fits, also the built-in error of its kind."""

from collections.abc import Iterable
from typing import TypedDict


class PygentsError(Exception):
    """Base of all errors that this library raises by itself; errors of tools and hooks pass through unchanged."""


class SafeExecutionError(PygentsError):
    """Something was changed, or started a second time, while the turn or the agent is running."""


class WrongRunMethodError(PygentsError):
    """``returning()`` was used for a generator tool, ``yielding()`` for a coroutine tool, or ``run()`` for an agent
    whose mailbox cannot be read from here."""


class NotRunningError(PygentsError, LookupError):
    """``current_turn()`` or ``current_agent()`` was asked where no turn, or no agent's turn, is running."""


class TurnTimeoutError(PygentsError, TimeoutError):
    """A turn took longer than its own timeout. A TimeoutError that a tool raises never becomes this."""


class UnregisteredError(PygentsError, KeyError):
    """A registry has nothing of that name."""

    # KeyError would show the message in quotes, as if it were the key.
    __str__ = Exception.__str__


class UnregisteredToolError(UnregisteredError):
    """``ToolRegistry`` has no tool of that name."""


class UnregisteredAgentError(UnregisteredError):
    """``AgentRegistry`` has no agent of that name, and its resolver knows none."""


class UnregisteredHookError(UnregisteredError):
    """``HookRegistry`` has no hook of that name."""


class UnregisteredDynamicError(UnregisteredError):
    """``DynamicRegistry`` has no function of that name."""


class ErrorDetail(TypedDict):
    """One reason why arguments do not fit: ``loc`` begins with "args" or "kwargs", then index or name, then deeper."""

    loc: tuple[str | int, ...]
    msg: str


class ArgumentsError(PygentsError, ValueError):
    """Arguments do not fit a tool's signature; ``errors`` lists the reasons, a hundred at most."""

    def __init__(self, tool_name: str, errors: Iterable[ErrorDetail]) -> None:
        self.tool_name = tool_name
        self.errors = list(errors)
        reasons = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in self.errors)
        super().__init__(f"Arguments do not fit tool {tool_name!r}: {reasons}")


class NotJsonError(PygentsError, ValueError):
    """A value has no exact JSON form: NaN, infinity, a cycle, an unknown type, a lone surrogate …"""


class HookFailed(PygentsError):
    """A hook that guards a turn raised, or exceeded its limit. ``__cause__`` is what it raised.

    ``hook`` is its name, ``kind`` the value of its hook type, ``timed_out`` whether the limit ended it.
    """

    def __init__(self, kind: str, hook: str, *, timed_out: bool = False) -> None:
        self.kind, self.hook, self.timed_out = kind, hook, timed_out
        super().__init__(f"Hook {hook!r} ({kind}) {'exceeded its time limit' if timed_out else 'failed'}")


class HopLimitError(PygentsError, RuntimeError):
    """A turn was sent on by ``send_turn`` more often than allowed, counted along its chain of senders."""


class MailboxFullError(PygentsError, RuntimeError):
    """A mailbox holds as many turns as it may."""
