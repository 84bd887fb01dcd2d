"""What a turn is made of: its fields, and which of them may change when."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from time import time_ns
from typing import Any

from ._guarded import Guarded
from ._moment import Moment
from .errors import SafeExecutionError
from .hooks import Hook, TurnHook, registered
from .memory import WorkingMemory
from .tool import Tool, ToolRegistry


class StopReason(StrEnum):
    """How a turn ended. ``cancelled`` also stands for one whose reader went away before its end."""

    COMPLETED = "completed"
    TIMEOUT = "timeout"
    ERROR = "error"
    CANCELLED = "cancelled"


class TurnState:
    """The fields of a turn. While it runs, only metadata, output, times, stop reason and its place may be assigned."""

    # With a dict, so that users may keep attributes of their own on a turn; it costs nothing until they do.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_args",
        "_end_time",
        "_hooks",
        "_kwargs",
        "_start_time",
        "_timeout",
        "_tool",
        "deadline",
        "is_running",
        "memory",
        "metadata",
        "output",
        "stop_reason",
    )

    # Its place in a durable mailbox, which sets them. In memory all are None, and take no room.
    id: str | None = None
    attempt: int | None = None
    hops: int | None = None
    parent: Any = None
    root: Any = None

    tool = Guarded[Tool]()
    args = Guarded[list[Any]]()
    kwargs = Guarded[dict[str, Any]]()
    timeout = Guarded[float | None]()
    hooks = Guarded[dict[TurnHook, list[Hook]]]()
    start_time = Moment()
    end_time = Moment()

    def __init__(  # noqa: PLR0917 - this order is part of the API
        self,
        tool: str | Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        timeout: float | None = 60,
        start_time: datetime | dict[str, Any] | None = None,
        end_time: datetime | None = None,
        stop_reason: StopReason | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        hooks: Mapping[TurnHook, Iterable[Hook]] | None = None,
    ) -> None:
        self._tool = ToolRegistry.get(tool if isinstance(tool, str) else tool.__name__)
        self._args: list[Any] = [] if args is None else list(args)
        self._kwargs: dict[str, Any] = {} if kwargs is None else kwargs
        self._timeout = timeout
        self._hooks: dict[TurnHook, list[Hook]] = {} if hooks is None else registered(hooks)
        # The fifth of pygents 0.2.1 was the metadata, that of its page the start time.
        if start_time is not None and isinstance(start_time, dict):
            metadata, start_time = start_time, None
        self.metadata: dict[str, Any] = {} if metadata is None else metadata
        self._start_time: datetime | int | None = start_time
        self._end_time: datetime | int | None = end_time
        self.stop_reason = stop_reason
        self.output: Any = None
        self.is_running = False
        # The copy of its agent's memory that the last attempt worked on; None if the tool asks for none.
        self.memory: WorkingMemory | None = None
        # When its time is over, on the monotonic clock, in seconds; None before the tool starts, and without timeout.
        self.deadline: float | None = None

    def refuse_if_running(self) -> None:
        """Raise SafeExecutionError if the turn is running."""
        if self.is_running:
            raise SafeExecutionError(f"{self!r} cannot be started: it is running.")

    def start(self) -> None:
        """Mark the turn as running, and forget how it ended the last time."""
        if self.is_running:
            self.refuse_if_running()
        self.is_running = True
        self._start_time = time_ns()
        self._end_time = self.stop_reason = self.output = self.memory = self.deadline = None

    def end(self) -> None:
        """Mark the turn as ended, now. Its stop reason and output were set before."""
        self._end_time = time_ns()
        self.is_running = False

    def __repr__(self) -> str:
        return f"<turn of {self._tool.metadata.name!r}: {self._word()}>"

    def _word(self) -> str:
        if self.is_running:
            return "running"
        return self.stop_reason.value if self.stop_reason else "new"
