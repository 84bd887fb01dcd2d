"""Between a turn as stored (JSON bytes) and a turn as the library executes it (typed arguments)."""

from datetime import datetime
from typing import Any

from pygents_core.errors import NotJsonError
from pygents_core.registry import ToolRegistry
from pygents_core.serialization import decode, decode_arguments, encode, encode_arguments, to_jsonable
from pygents_core.turn import Turn as CoreTurn

from ..clock import Clock, from_datetime
from ..model import TurnSpec
from ..nesting import MAX_NESTING, too_deep
from .requests import MAX_DELAY, MAX_TIMEOUT, TurnRequest


def core_turn(spec: TurnSpec, attempt: int | None = None) -> CoreTurn[Any]:
    """The turn with its arguments as the tool's annotated types.

    Raises ArgumentsError if the tool's signature has changed since and they do not fit any more, UnregisteredToolError
    or UnregisteredDynamicError if what they name is gone.
    """
    tool = ToolRegistry.get(spec.tool)
    args, kwargs = decode_arguments(decode(spec.args), decode(spec.kwargs))
    typed_args, typed_kwargs = tool.schema.validate(args, kwargs)
    turn: CoreTurn[Any] = CoreTurn(
        tool, args=list(typed_args), kwargs=typed_kwargs, timeout=spec.timeout, metadata=decode(spec.metadata)
    )
    turn.id, turn.attempt = spec.id, attempt
    return turn


def request_of(turn: CoreTurn[Any], not_before: int | None = None) -> TurnRequest:
    """A turn made by the user's code as a request: ``@dynamic`` functions by name, other callables evaluated now.

    A turn without a time limit gets the longest. Raises ValueError for a limit that is not in (0, 86,400] seconds and
    for a turn with hooks of its own, which could not be stored: give them to the agent; NotJsonError for arguments and
    metadata that are not JSON, or nested too deep.
    """
    if turn.hooks:
        raise ValueError("a turn in a durable mailbox cannot have hooks of its own; give them to the agent")
    timeout = MAX_TIMEOUT if turn.timeout is None else turn.timeout
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ValueError(f"timeout must be more than 0 and at most {MAX_TIMEOUT:g} seconds, not {timeout}")
    args, kwargs = encode_arguments(turn.args, turn.kwargs)
    metadata = to_jsonable(dict(turn.metadata)) if turn.metadata else {}
    for part, value in (("args", args), ("kwargs", kwargs), ("metadata", metadata)):
        if too_deep(encode(value)):
            raise NotJsonError(f"the {part} of a turn are nested deeper than {MAX_NESTING} levels")
    return TurnRequest(turn.tool.metadata.name, args, kwargs, timeout, metadata, not_before)


def repeated(spec: TurnSpec) -> TurnRequest:
    """The same turn once more, as a new one: at once, and with no parent."""
    return TurnRequest(
        spec.tool, decode(spec.args), decode(spec.kwargs), spec.timeout, decode(spec.metadata),
        retry=spec.retry, retry_of=spec.id,
    )  # fmt: skip


def due_time(clock: Clock, delay: float | None, not_before: datetime | None) -> int | None:
    """When a turn joins its mailbox, in microseconds since the epoch; None for now. ``delay`` in seconds.

    Raises ValueError for both, for a delay that is not in [0, 366 days], and for a time without an offset.
    """
    if delay is not None and not_before is not None:
        raise ValueError("give delay or not_before, not both")
    if not_before is not None:
        return from_datetime(not_before)
    if delay is None:
        return None
    if not 0 <= delay <= MAX_DELAY:
        raise ValueError(f"delay must be at least 0 and at most {MAX_DELAY:g} seconds, not {delay}")
    return clock() + round(delay * 1_000_000)
