"""The errors of turns that are the service's own; all others are what the tools raise."""

from collections.abc import Mapping

from .entry import Explanation, Repeat

TURNS: Mapping[str, Explanation] = {
    "interrupted": Explanation(
        "The process ended, or was told to, while the turn was running, and the turn has no `retry`. What its tool had "
        "done by then is done.",
        "If doing it twice does no harm, submit it once more (`…/retry`), and give the tool a `retry`.",
        Repeat.NO,
    ),
    "poison": Explanation(
        "The turn was running at several ends of the process (`PYGENTS_MAX_CRASHES`), and is suspected to cause them.",
        "Look in the system's log for what killed the process (out of memory, a crash in native code) before it is "
        "submitted again.",
        Repeat.NO,
    ),
    "timeout": Explanation(
        "The turn did not end within its `timeout`, and `turn.retrying` says that it is tried again. One that is not "
        "tried again ends as `timeout`, without an error.",
        "Nothing, if the next attempt ends in time; else give it a longer `timeout`.",
        Repeat.LATER,
    ),
    "hook": Explanation(
        "A hook raised, or took longer than `PYGENTS_HOOK_TIMEOUT`.", "The message names the hook; mend it.", Repeat.NO
    ),
    "not_json": Explanation(
        "The tool gave a value that cannot be written as JSON: NaN, a cycle, an object of an unknown class, too deep.",
        "Return what pydantic can write: models, dataclasses, lists, dicts, strings, finite numbers.",
        Repeat.NO,
    ),
    "too_large": Explanation(
        "A value has more than 256 KiB of JSON.",
        "Yield it in pieces, or store it elsewhere and return where.",
        Repeat.NO,
    ),
    "too_many_values": Explanation("The turn yielded more than 100,000 values.", "Yield larger pieces.", Repeat.NO),
    "mailbox_full": Explanation(
        "The tool sent or returned a turn to a mailbox that was full.",
        "Catch it in the tool, or give the turn a `retry`.",
        Repeat.LATER,
    ),
    "HopLimit": Explanation(
        "The chain of sends that led to this turn is longer than `PYGENTS_MAX_HOPS`: it looks like a loop.",
        "Let agents that answer each other come to an end.",
        Repeat.NO,
    ),
    "tool_removed": Explanation(
        "The tool was taken from the agent while the turn waited.",
        "Give it back (`PATCH`, or in the code) and submit the turn once more (`…/retry`).",
        Repeat.NO,
    ),
    "damaged": Explanation(
        "The stored arguments are not what was written. They were not executed.",
        "Look with `pygents doctor --full`; submit the turn anew.",
        Repeat.NO,
    ),
    "not_stored": Explanation(
        "The tool ran, but the store could not take its result.",
        "The log says why. What the tool had done is done.",
        Repeat.NO,
    ),
}
"""By the ``type`` of a turn's ``error``. Every other type is the class of the exception that the tool raised."""
