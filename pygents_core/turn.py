"""Turns: one unit of work. What should be done, not how."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any, Generic

from typing_extensions import TypeVar

from ._attempt import CURRENT, RETURNING, YIELDING, Attempt
from ._reading import Once, read
from ._turn_state import StopReason, TurnState
from .errors import NotRunningError
from .hooks import Hook, TurnHook, add_hook, hook_names, hooks_from_names
from .serialization import decode_arguments, freeze_arguments

__all__ = ["StopReason", "Turn", "TurnHook", "current_turn"]

# What its tool returns, or yields. Any unless somebody says it: a tool is found by its name.
T = TypeVar("T", default=Any)


class Turn(TurnState, Generic[T]):
    """Which tool to run with which arguments, for how long, and what became of it.

    ``tool`` is a registered name, or the tool or function of that name (UnregisteredToolError). Plain functions and
    lambdas among the arguments are called when the tool is, as are ``@dynamic`` ones. ``timeout`` is in seconds, from
    the moment the tool starts, a generator's readers included; None: no limit. ``metadata`` is the user's own.
    While it runs, only metadata, output, times and stop reason may be assigned; else SafeExecutionError.
    """

    __slots__ = ()

    async def returning(self) -> T:
        """Run a coroutine tool and return its result.

        Raises WrongRunMethodError for a generator tool, SafeExecutionError if the turn is running already,
        TurnTimeoutError, and whatever the tool or a guarding hook raises.
        """
        self.refuse_if_running()
        drive = await Attempt(self, RETURNING).start()
        output: T = await drive.to_end()
        return output

    def yielding(self) -> AsyncGenerator[T, None]:
        """Run a generator tool and yield its values; at the end their list is in ``output``. Errors: as ``returning``.

        Nothing runs ahead of the reader. Closing it early closes the tool's generator and cancels the turn.
        """
        self.refuse_if_running()
        return read(Once(Attempt(self, YIELDING)), pairs=False)

    def add_hook(self, hook_type: TurnHook, hook: Hook, name: str | None = None) -> None:
        """Add a hook, and register it under ``name`` or its own. Raises ValueError if the name is another hook's."""
        add_hook(self.hooks, hook_type, hook, name)

    def to_dict(self) -> dict[str, Any]:
        """The turn as a dict of its own values; callable arguments are evaluated now, ``@dynamic`` ones go by name."""
        args, kwargs = freeze_arguments(self._args, self._kwargs)
        return {
            "tool_name": self._tool.metadata.name,
            "args": args,
            "kwargs": kwargs,
            "metadata": self.metadata,
            "timeout": self._timeout,
            "start_time": self.start_time.isoformat() if self.start_time else None,
            "end_time": self.end_time.isoformat() if self.end_time else None,
            "stop_reason": self.stop_reason.value if self.stop_reason else None,
            "output": self.output,
            "hooks": hook_names(self._hooks),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Turn[Any]":
        """Rebuild from ``to_dict``; only ``tool_name`` is required. Raises the registries' errors for unknown names."""
        args, kwargs = decode_arguments(data.get("args", ()), data.get("kwargs", {}))
        stop_reason = data.get("stop_reason")
        turn: Turn[Any] = cls(
            data["tool_name"],
            args,
            kwargs,
            data.get("timeout", 60),
            _time(data.get("start_time")),
            _time(data.get("end_time")),
            StopReason(stop_reason) if stop_reason else None,
            dict(data.get("metadata") or {}),
            hooks={TurnHook(kind): hooks for kind, hooks in hooks_from_names(data.get("hooks", {})).items()},
        )
        turn.output = data.get("output")
        return turn


def current_turn() -> Turn[Any]:
    """Return the turn whose tool or hook is running here, also in tasks that it started; else NotRunningError."""
    attempt = CURRENT.get(None)
    if attempt is None or not isinstance(attempt.turn, Turn):
        raise NotRunningError("no turn is running here")
    return attempt.turn


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
