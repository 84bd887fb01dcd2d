"""Counts what happens, by listening: to the store's commits on the committer's thread, to the telemetry elsewhere."""

from collections.abc import Mapping
from threading import Lock
from typing import get_args

from pygents_core.turn import StopReason

from ..errors import Damaged, ServiceError, StoreFull, Unavailable
from ..model import EventType, Head, Turn
from ..ports import Notice
from ..telemetry import (
    Answered,
    Blocked,
    CommitFailed,
    Committed,
    Dropped,
    Entered,
    Lagged,
    Limit,
    Refused,
    Replayed,
    Telemetry,
)
from .tallies import OTHER, Bounded, Counter, Histogram

GROUP = "group"
"""The label of an agent that its turns are counted under."""
MOST_GROUPS = 50
"""Different groups that are told apart: each is a set of series wherever they are kept."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
STATUSES = ("left", "1xx", "2xx", "3xx", "4xx", "5xx")
MICROS = 1_000_000

QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Counting:
    """All counters and histograms. ``listen`` and ``hear`` connect them with what they count."""

    def __init__(self) -> None:
        self.events = Counter("pygents_events", "Events that were committed, by type.", "type")
        self.ended = Counter("pygents_turns_ended", "Turns that have ended.", "group", "stop_reason")
        self.again = Counter("pygents_turns_begun_again", "Further attempts at turns.")
        self.wait = Histogram("pygents_turn_wait_seconds", "From when a turn may begin to its first begin.", LONG)
        self.start = Histogram("pygents_turn_start_seconds", "From a turn's committed begin to its tool's code.", QUICK)
        self.duration = Histogram("pygents_turn_duration_seconds", "From a turn's begin to its end.", LONG, "group")
        self.requests = Histogram(
            "pygents_request_duration_seconds", "To the end of an answer, of a stream to its start.", QUICK,
            "method", "route", "status",
        )  # fmt: skip
        self.batches = Histogram("pygents_commit_commands", "Commands that were committed together.", SIZES)
        self.committing = Histogram("pygents_commit_duration_seconds", "Of a commit, with its fsync.", QUICK)
        self.failures = Counter("pygents_commit_failures", "Commits that failed, by the problem that it was.", "reason")
        self.pages = Counter("pygents_replay_reads", "Pages that were read from the store for streams.")
        self.replayed = Counter("pygents_replayed_events", "Events in those pages.")
        self.dropped = Counter("pygents_streams_dropped", "Streams that were cut because their client took nothing.")
        self.refused = Counter("pygents_refused", "Requests and streams beyond what a caller may ask for.", "limit")
        self.lag = Histogram(
            "pygents_loop_lag_seconds", "How long an event loop lets a due callback wait.", QUICK, "loop"
        )
        self.blocks = Counter("pygents_loop_blocks", "Times that code was found to block its event loop.")
        self._groups = Bounded(MOST_GROUPS)
        self._entering = Lock()  # of the threads of all workers
        self.families: tuple[Counter | Histogram, ...] = (
            self.events, self.ended, self.again, self.wait, self.start, self.duration, self.requests,
            self.batches, self.committing, self.failures, self.pages, self.replayed, self.dropped, self.refused,
            self.lag, self.blocks,
        )  # fmt: skip
        for type_ in EventType:
            self.events.add((type_.value,), 0)
        self._expect("")
        for problem in (StoreFull, Unavailable, Damaged, ServiceError):
            self.failures.add((problem.type,), 0)
        for limit in get_args(Limit):
            self.refused.add((limit,), 0)

    def listen(self, telemetry: Telemetry) -> None:
        telemetry.attach(Committed, self._committed)
        telemetry.attach(CommitFailed, lambda failed: self.failures.add((failed.reason,)))
        telemetry.attach(Entered, self._entered)
        telemetry.attach(Answered, self._answered)
        telemetry.attach(Replayed, self._replayed)
        telemetry.attach(Dropped, lambda dropped: self.dropped.add())
        telemetry.attach(Refused, lambda refused: self.refused.add((refused.limit,)))
        telemetry.attach(Lagged, lambda lagged: self.lag.observe(lagged.seconds, (lagged.loop,)))
        telemetry.attach(Blocked, lambda _blocked: self.blocks.add())

    def expect(self, labels: Mapping[str, str]) -> None:
        """There is an agent with these labels. ``increase`` misses what a series begins with."""
        self._group(labels)

    def hear(self, notice: Notice) -> None:
        """A listener of the store."""
        events = self.events.values
        for event in notice.events:
            events[_TYPES[event.type]] += 1
        for begun in notice.begun:
            self._group(begun.definition.labels)
            self._begun(begun.turn)
        for turn in notice.ended:
            self._ended(turn, notice.heads.get(turn.spec.agent))

    def _begun(self, turn: Turn) -> None:
        if turn.attempt > 1:
            self.again.add()
        elif turn.start_time is not None:
            # One that was delayed may not begin before its time. Clocks may be set back meanwhile.
            since = turn.spec.not_before or turn.created_at
            self.wait.observe(max(0, turn.start_time - since) / MICROS)

    def _ended(self, turn: Turn, head: Head | None) -> None:
        group = self._group(head.definition.labels) if head is not None else ""
        self.ended.add((group, turn.status))
        if turn.start_time is not None and turn.end_time is not None:
            self.duration.observe(max(0, turn.end_time - turn.start_time) / MICROS, (group,))

    def _group(self, labels: Mapping[str, str]) -> str:
        group = labels.get(GROUP)
        if not group:
            return ""
        group = self._groups(group)
        if (group, "completed") not in self.ended.values:
            self._expect(group)
        return group

    def _expect(self, group: str) -> None:
        for reason in StopReason:
            self.ended.values.setdefault((group, reason.value), 0)

    def _entered(self, entered: Entered) -> None:
        with self._entering:
            self.start.observe(entered.seconds)

    def _committed(self, committed: Committed) -> None:
        self.batches.observe(committed.commands)
        self.committing.observe(committed.seconds)

    def _answered(self, answered: Answered) -> None:
        method = answered.method if answered.method in METHODS else OTHER
        self.requests.observe(answered.seconds, (method, answered.route, STATUSES[answered.status // 100]))

    def _replayed(self, replayed: Replayed) -> None:
        self.pages.add()
        self.replayed.add(count=replayed.events)


_TYPES = {each: (each.value,) for each in EventType}
