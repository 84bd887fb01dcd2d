"""What is asked of a mailbox, before it is checked and stored."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pygents_core.tool import Retry

from ..model import Asker, TurnRef

MAX_TIMEOUT = 86_400.0
"""Seconds: the longest that a turn may take."""


MAX_DELAY = 366 * 86_400.0
"""Seconds: the longest that a turn may wait for its time."""


class TurnRequest(NamedTuple):
    """A turn as asked for. ``timeout`` in seconds; ``not_before`` in microseconds since the epoch.

    ``args``, ``kwargs`` and ``metadata`` are plain JSON: what a decoder gives.

    Without a ``retry`` of its own it has its tool's.
    """

    tool: str
    args: list[Any]
    kwargs: dict[str, Any]
    timeout: float = 60.0
    metadata: Mapping[str, Any] = {}
    not_before: int | None = None
    retry: Retry | None = None
    retry_of: str | None = None


class Lineage(NamedTuple):
    """Where a turn made by a running turn comes from: its parent, the chain's root, the sends so far, who asked."""

    parent: TurnRef
    root: str
    hops: int
    asker: Asker | None = None
