"""The table of figures in README.md, made of the record that a pass of all benches leaves."""

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Record = Mapping[str, Any]


class Line(NamedTuple):
    """A figure of ours beside the same one of all others in a table (or only of those that are named)."""

    what: str
    """``\\1`` is what the first group of ``title`` has matched."""
    title: str
    """A regular expression that the title begins with; each table that matches is shown."""
    ours: str
    metric: str
    others: tuple[str, ...] = ()


LIMITS = frozenset(
    {"FastAPI echo", "raw ASGI", "raw ASGI, joined", "deque and await", "bare FastAPI app", "fdatasync of this disk"}
)
"""Contenders that do less than any product could: how near we come to them is what counts."""
UNITS: Mapping[str, str] = {
    "per s": "{:,.0f}/s",
    "p50 ms": "{:.1f} ms",
    "CPU µs": "{:.0f} µs",
    "start s": "{:.2f} s",
    "idle MB": "{:.0f} MB",
    "KB per stream": "{:.1f} KB",
}

FANOUT = r"fan-out: \d+ values to (\d{4,}) streams, "

LINES = (
    Line(
        "accepting a turn (202 after fsync), 32 connections",
        "submit:",
        "durable, turns wait",
        "per s",
        ("FastAPI echo",),
    ),
    Line("the same while trivial tools run", "submit:", "durable, turns run", "per s", ("FastAPI echo",)),
    Line(
        "POST to the result, \\1",
        r"end to end: .*, (\d+ connections?)$",
        "service (SQLite), stream",
        "per s",
    ),
    Line(
        "POST to the result on the stream, 1 connection: p50",
        r"roundtrip: .*connections: 1$",
        "full",
        "p50 ms",
        ("fdatasync of this disk",),
    ),
    Line(
        "deliveries to \\1 streams, back to back", r"fan-out: \d+ values to (\d{4,}) streams, back", "service", "per s"
    ),
    Line(
        "server CPU of a delivery to \\1 streams, paced",
        r"fan-out: \d+ values to (\d{4,}) streams, \d",
        "service",
        "CPU µs",
    ),
    Line("memory of an idle stream, of \\1", r"memory of an idle stream, of (\d{4,})", "service", "KB per stream"),
    Line("library alone: turns", "library: turns", "pygents_core", "per s"),
    Line("library alone: streamed values", "library: values", "pygents_core", "per s"),
    Line("start of the process to its first answer", "start:", "service", "start s"),
)


def figures_table(record: Record) -> str:
    """Raises LookupError if the record has no table for one of the lines."""
    rows = ["| measured | pygents | against | theirs | ours / theirs |", "|---|---|---|---|---|"]
    rows += [row for line in LINES for table, what in _tables(record, line) for row in _rows(table, line, what)]
    rows += ["", *_said(record)]
    return "\n".join(rows) + "\n"


def _tables(record: Record, line: Line) -> Iterator[tuple[Mapping[str, Any], str]]:
    found = [(table, match) for table in record["tables"] if (match := re.match(line.title, table["title"]))]
    if not found:
        raise LookupError(f"the record has no table {line.title!r}: measure all again with `make bench`")
    for table, match in found:
        yield table, match.expand(line.what)


def _rows(table: Mapping[str, Any], line: Line, what: str) -> Iterator[str]:
    """One for each contender; what is measured stands in the first one only."""
    rows, show = table["rows"], UNITS[line.metric].format
    mine = rows[line.ours][line.metric]
    for other in line.others or rows:
        theirs = rows.get(other, {}).get(line.metric)
        if other == line.ours or theirs is None:
            continue
        limit = "the limit: " if other in LIMITS else ""
        compared = _times(mine["rounds"], theirs["rounds"])
        shown = show(mine["median"]) if what else ""
        yield f"| {what} | {shown} | {limit}{other} | {show(theirs['median'])} | {compared} |"
        what = ""


def _times(mine: Sequence[float], theirs: Sequence[float]) -> str:
    """The median of the ratios within each round, and the extremes."""
    ratios = [one / other for one, other in zip(mine, theirs, strict=False) if other]
    median, least, most = statistics.median(ratios), min(ratios), max(ratios)
    return f"**{_short(median)}**" + (f" ({_short(least)} to {_short(most)})" if least != most else "")


def _short(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.2g}" if ratio < 10 else f"{ratio:.3g}"


def _said(record: Record) -> Iterator[str]:
    """How it was measured, which goals were missed, and who is not in the table."""
    packages = ", ".join(f"{name} {version}" for name, version in record["contenders"].items())
    yield (
        f"From `{record['command']}` on {record['date'][:10]} at {record['commit']}: {record['machine']}, Python "
        f"{record['python']}, SQLite {record['packages']['sqlite']}, FastAPI {record['packages']['fastapi']}, uvicorn "
        f"{record['packages']['uvicorn']}; {packages}. Client and servers share the processors. Contenders take turns, "
        f"in up to {record['rounds']} rounds; a ratio is the median of those within the rounds (least to most). Where "
        "the unit is not “/s”, less is better."
    )
    goals = [goal for table in record["tables"] for goal in table["goals"]]
    missed = [
        f"{goal['what']} ({_short(goal['measured'])}, goal {'≥' if goal['at_least'] else '≤'} {_short(goal['bound'])})"
        for goal in goals
        if not goal["met"]
    ]
    yield f"Of {len(goals)} goals that the benches check {len(goals) - len(missed)} are met" + (
        f"; missed: {'; '.join(missed)}." if missed else "."
    )
    skipped = dict.fromkeys(note for table in record["tables"] for note in table["notes"] if "skipped" in note)
    if skipped:
        yield f"Not compared: {'; '.join(skipped)}."
