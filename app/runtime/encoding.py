"""What a turn produces, as JSON within bounds. Raises ``ValueRefused``, which ends the turn with its cause."""

from typing import Any, NamedTuple

from pygents_core.errors import NotJsonError
from pygents_core.memory import WorkingMemory
from pygents_core.serialization import dumps

from ..nesting import MAX_NESTING, too_deep
from .outcomes import ValueRefused


class Limits(NamedTuple):
    """``cancel_grace`` in seconds; bytes of JSON of a value and of a memory; values of one turn; turns in a mailbox."""

    cancel_grace: float = 10.0
    value_bytes: int = 256 * 1024
    memory_bytes: int = 4 * 1024 * 1024
    values: int = 100_000
    mailbox: int = 1000


def encode_value(value: Any, index: int, limits: Limits) -> bytes:
    """The value with this index among those of its turn."""
    if index >= limits.values:
        raise ValueRefused("too_many_values", f"A turn may yield {limits.values} values.")
    return _encode(value, f"Value {index}", limits.value_bytes)


def encode_memory(memory: WorkingMemory, limits: Limits) -> bytes:
    return _encode(memory.items, "The working memory", limits.memory_bytes)


def _encode(value: Any, what: str, limit: int) -> bytes:
    try:
        encoded = dumps(value)
    except NotJsonError as error:
        raise ValueRefused("not_json", f"{what} cannot be written as JSON: {error}") from error
    if len(encoded) > limit:
        raise ValueRefused("too_large", f"{what} has {len(encoded)} bytes of JSON; the limit is {limit}.")
    if too_deep(encoded):
        raise ValueRefused("not_json", f"{what} is nested deeper than {MAX_NESTING} levels.")
    return encoded
