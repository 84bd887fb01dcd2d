"""The reasons that streams give when they end or cannot go on from a cursor."""

from collections.abc import Mapping

from .entry import Explanation, Repeat

CLOSINGS: Mapping[str, Explanation] = {
    "draining": Explanation(
        "The service is shutting down.", "Connect again after `retry` milliseconds, with the last id.", Repeat.LATER
    ),
    "unavailable": Explanation(
        "The stream cannot go on now: the store cannot be read, what comes next is damaged, or a proxy finds no "
        "service behind it.",
        "Connect again after `retry` milliseconds, with the last id.",
        Repeat.LATER,
    ),
    "busy": Explanation(
        "There are too many streams now.", "Connect again after `retry` milliseconds, with the last id.", Repeat.LATER
    ),
}
"""By the ``reason`` of ``stream.closing``. An ``EventSource`` does by itself what they ask for."""

RESETS: Mapping[str, Explanation] = {
    "retention": Explanation(
        "Events after the cursor were pruned before they were read.",
        "Forget what was derived from the events so far; the stream goes on from `earliest`.",
        Repeat.NO,
    ),
    "restored": Explanation(
        "A backup was restored: events that were seen are not there any more.",
        "Forget what was derived from the events so far; the stream goes on from `earliest`.",
        Repeat.NO,
    ),
    "unknown": Explanation(
        "The cursor is beyond the log's end: it is not of this agent, or not of this database.",
        "Look where the cursor comes from; the stream goes on from `earliest`.",
        Repeat.NO,
    ),
}
"""By the ``reason`` of ``stream.reset``."""
