"""What is not counted but looked at, each time that somebody asks: how much there is of something right now."""

from collections.abc import Callable
from typing import NamedTuple

from ..ports import Measures


class Figures(NamedTuple):
    """What the parts of this process know without asking anybody else.

    ``behind``: how many events the stream that is furthest behind has still to send. ``exhausted``: as many event
    loops of tools are blocked as there may be. ``pending``: seconds that the commit under way has taken till now.
    """

    running: int
    streams: int
    behind: int
    blocked: int
    exhausted: bool
    draining: bool
    pending: float


class Gauge(NamedTuple):
    name: str
    help: str
    value: float


def gauges_of(figures: Figures) -> list[Gauge]:
    return [
        Gauge("pygents_turns_running", "Turns that have begun and not ended.", figures.running),
        Gauge("pygents_streams_open", "Event streams that are open.", figures.streams),
        Gauge("pygents_stream_behind_events", "Events that the slowest stream has still to send.", figures.behind),
        Gauge("pygents_loops_blocked", "Event loops of tools that code blocks right now.", figures.blocked),
        Gauge("pygents_loops_exhausted", "1 if no further loop may be opened beside blocked ones.", figures.exhausted),
        Gauge("pygents_draining", "1 if the service is shutting down.", figures.draining),
        Gauge("pygents_commit_pending_seconds", "How long the commit under way has taken till now.", figures.pending),
    ]


def gauge_of_readiness(ready: bool) -> Gauge:
    return Gauge("pygents_ready", "1 if the service takes turns, as /readyz says.", ready)


def gauges_of_store(measures: Measures | None, clock: Callable[[], int]) -> list[Gauge]:
    """None: the store could not be read. Then there is only one to say so."""
    up = Gauge("pygents_store_up", "1 if the store can be read.", measures is not None)
    if measures is None:
        return [up]
    since = measures.oldest_queued
    age = max(0, clock() - since) / 1_000_000 if since is not None else 0
    return [
        up,
        Gauge("pygents_agents", "Agents.", measures.agents),
        Gauge("pygents_agents_paused", "Agents that are paused.", measures.paused),
        Gauge("pygents_turns_queued", "Turns that wait in mailboxes.", measures.queued),
        Gauge("pygents_turns_scheduled", "Turns that wait for their time.", measures.scheduled),
        Gauge("pygents_oldest_queued_seconds", "How long a turn has waited that is not of a paused agent.", age),
        Gauge("pygents_database_bytes", "Size of the database's file.", measures.database_bytes),
        Gauge("pygents_wal_bytes", "Size of its write-ahead log.", measures.log_bytes),
    ]
