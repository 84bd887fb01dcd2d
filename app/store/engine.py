"""What a local engine implements: plain synchronous rows. Everything above (rules, batches, threads) is shared.

An engine has one writer, the committer's thread, which uses ``rows``; reads come from any event loop and see only what
is committed.
"""

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol, TypeVar

from ..model import Event, Head, KeyRecord, ListedAgent, Page, PlacedTurn, Trace, Turn, TurnRef, TurnStatus
from ..ports import Measures, OldLogs
from .access import AccessReads, AccessRows

T = TypeVar("T")


class Rows(Protocol):
    """Reads and writes of one transaction at a time. What was written is seen by the reads that follow in it."""

    @property
    def access(self) -> AccessRows:
        """Keys, tickets and the audit log, in the same transaction."""
        ...

    def begin(self) -> None: ...

    def commit(self) -> None:
        """Durable when it returns. If it raises, the transaction is to be rolled back."""
        ...

    def rollback(self) -> None:
        """Undo the transaction and forget everything cached. Never raises, not even without a transaction."""
        ...

    def head(self, name: str) -> Head | None: ...

    def turn(self, turn_id: str) -> Turn | None: ...

    def next_turn(self, head: Head) -> Turn | None:
        """The first queued turn beyond ``head.begun``."""
        ...

    def waiting_turns(self, head: Head) -> tuple[Turn, ...]:
        """All that have not begun: the queued ones in the mailbox's order, then the scheduled ones by acceptance."""
        ...

    def due_turns(self, agent: str, now: int) -> tuple[Turn, ...]:
        """Scheduled turns with ``not_before <= now``, ordered by ``not_before``, then by acceptance."""
        ...

    def prior(self, agent: str, caller: str, key: str) -> tuple[KeyRecord, tuple[PlacedTurn, ...]] | None:
        """None, too, if any of its turns is gone: the record has outlived what was promised."""
        ...

    def oldest_events(self, head: Head, limit: int) -> Sequence[tuple[int, int]]:
        """(seq, time) of the first retained events."""
        ...

    def expired_turns(self, head: Head, ended_before: int, limit: int) -> tuple[str, ...]:
        """Turns, by acceptance, that ended before that time and whose last event lies before ``head.earliest``."""
        ...

    def prune(self, head: Head, turn_ids: Sequence[str]) -> None:
        """Remove events before ``head.earliest``, these turns, and the idempotency records whose first turn is gone."""
        ...

    def put_head(self, head: Head) -> None:
        """Write it. Where the stored one is deleted and this is not, it is another agent of the same name.

        Nothing of the deleted one belongs to it, but for what the head itself has taken over.
        """
        ...

    def add_turns(self, turns: Sequence[Turn]) -> None:
        """As they were accepted, perhaps begun at once: what a turn comes to later is not written here."""
        ...

    def change_turns(self, turns: Sequence[Turn]) -> None: ...

    def add_events(self, events: Sequence[Event]) -> None: ...

    def add_record(self, record: KeyRecord, now: int) -> None:
        """In place of one of the same key, if there is one."""
        ...

    def put_memory(self, agent: str, memory: bytes) -> None: ...


class Snapshot(Protocol):
    """Committed state, read synchronously: the reads of ``ports.Reads``, without their loop."""

    @property
    def access(self) -> AccessReads: ...

    def get_agent(self, name: str) -> ListedAgent | None: ...

    def list_agents(self, prefix: str, after: str | None, limit: int) -> Page: ...

    def get_turn(self, turn_id: str, agent: str | None) -> PlacedTurn | None: ...

    def list_turns(self, agent: str | None, status: TurnStatus | None, after: str | None, limit: int) -> Page: ...

    def list_children(self, turn_id: str) -> list[TurnRef]: ...

    def get_trace(self, turn_id: str) -> Trace | None: ...

    def read_events(self, agent: str, after: int, limit: int, up_to: int | None) -> list[Event]: ...

    def read_memory(self, agent: str) -> bytes | None: ...

    def owned_agents(self) -> list[str]: ...

    def ready_agents(self, limit: int, after: str = "") -> list[str]: ...

    def next_due(self) -> tuple[int, list[str]] | None: ...

    def prunable_agents(self, length: int, limit: int, after: str) -> list[str]: ...

    def old_logs(self, before: int, now: int, after: int) -> OldLogs: ...

    def measure(self) -> Measures:
        """Without the sizes of files."""
        ...


class Engine(Protocol):
    @property
    def rows(self) -> Rows:
        """For the one writing thread only."""
        ...

    def explain(self, error: Exception) -> Exception:
        """What to answer when a transaction failed with ``error``: a ``ServiceError``, whatever a database did.

        Does not return if the process must end.
        """
        ...

    def check(self) -> None:
        """Commit something tiny, on the writing thread. Raises what a command would meet now."""
        ...

    def purge(self, deleted_before: int, limit: int) -> int:
        """As ``ports.Store.purge``, in a transaction of its own, on the writing thread."""
        ...

    def sizes(self) -> tuple[int, int]:
        """Bytes of the database's file and of its write-ahead log; 0 for what there is not."""
        ...

    def backup(self) -> BinaryIO:
        """As ``ports.Store.backup``, on any thread, beside reads and writes."""
        ...

    async def read(self, query: Callable[[Snapshot], T]) -> T:
        """Answer ``query`` without blocking the calling loop for longer than a look into memory takes."""
        ...

    def close(self) -> None: ...
