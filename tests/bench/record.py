"""The table of figures in README.md, made of the record that a pass of all benches leaves."""

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Record = Mapping[str, Any]


class Line(NamedTuple):
    """A figure of ours beside the same one of others in a table: like with like, a stream with a stream."""

    what: str
    """``\\1`` is what the first group of ``title`` has matched."""
    title: str
    """A regular expression that the title begins with; each table that matches is shown."""
    ours: str
    metric: str
    others: str = ".+"
    """A regular expression that their names match."""


LIMITS = frozenset(
    {"FastAPI echo", "raw ASGI", "raw ASGI, joined", "deque and await", "bare FastAPI app", "fdatasync of this disk"}
)
"""Contenders that do less than any product could: how near we come to them is what counts."""
UNITS: Mapping[str, str] = {
    "per s": "{:,.0f}/s",
    "p50 ms": "{:.2f} ms",
    "CPU µs": "{:.0f} µs",
    "start s": "{:.2f} s",
    "KB per stream": "{:.1f} KB",
}
UNMEASURED = "*Not measured yet.*"
END_TO_END = r"end to end: .*, (\d+ connections?)$"
FANOUT = r"fan-out: \d+ values to (\d{4,}) streams, "

LINES = (
    Line(
        "a turn accepted (202 after fsync), 32 connections", "submit:", "durable, turns wait", "per s", "FastAPI echo"
    ),
    Line("the same while trivial tools run", "submit:", "durable, turns run", "per s", "FastAPI echo"),
    Line("p50 of POST to result on a stream", "roundtrip: .*: 1$", "full", "p50 ms", "fdatasync.*"),
    Line("POST to result on a stream, \\1", END_TO_END, "service (SQLite), stream", "per s", ".*, stream"),
    Line("a POST that waits for the result, \\1", END_TO_END, "service (SQLite), wait", "per s", ".*, wait"),
    Line(
        "values to \\1 streams, back to back, joined into few writes",
        FANOUT + "back to back",
        "service",
        "per s",
        "(?!raw ASGI$).+",
    ),
    Line("CPU of a value to \\1 streams, paced", FANOUT + r"\d", "service", "CPU µs"),
    Line("memory of an idle stream, of \\1", r"memory of an idle stream, of (\d{4,})", "service", "KB per stream"),
    Line("library alone: turns", "library: turns", "pygents_core", "per s"),
    Line("library alone: streamed values", "library: values", "pygents_core", "per s"),
    Line("CPU of each of \\1 streams opened at once", r"(\d{4,}) streams opened at once", "service", "CPU µs"),
    Line("start of the process to its first answer", "start:", "service", "start s"),
)


def figures_table(record: Record) -> str:
    """Raises LookupError if the record has no table for one of the lines."""
    rows = ["| measured | pygents | against | theirs | ours / theirs |", "|---|---|---|---|---|"]
    rows += [row for line in LINES for table, what in _tables(record, line) for row in _rows(table, line, what)]
    rows += ["", *_said(record)]
    return "\n".join(rows) + "\n"


def medians_table(record: Record, title: str, metrics: Sequence[str]) -> str:
    """The medians of one table, a row for each contender.

    A table or a column that came after the last pass of all benches is not in the record: then it is said so.
    """
    found = next((table for table in record["tables"] if re.match(title, table["title"])), None)
    if found is None:
        return f"{UNMEASURED}\n"
    rows = found["rows"]
    known = [metric for metric in metrics if any(figures.get(metric) for figures in rows.values())]
    lines = [f"| | {' | '.join(known)} |", "|---" * (len(known) + 1) + "|"]
    for name, figures in rows.items():
        medians = [figures[metric]["median"] if figures.get(metric) else None for metric in known]
        lines.append(f"| {name} | {' | '.join('' if each is None else _three(each) for each in medians)} |")
    if missing := [metric for metric in metrics if metric not in known]:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def _three(figure: float) -> str:
    """With three digits that count."""
    return f"{float(f'{figure:.3g}'):,.6g}"


def _tables(record: Record, line: Line) -> Iterator[tuple[Mapping[str, Any], str]]:
    found = [(table, match) for table in record["tables"] if (match := re.match(line.title, table["title"]))]
    if not found:
        raise LookupError(f"the record has no table {line.title!r}: measure all again with `make bench`")
    for table, match in found:
        yield table, match.expand(line.what)


def _rows(table: Mapping[str, Any], line: Line, what: str) -> Iterator[str]:
    """One for each contender; what is measured stands in the first one only."""
    mine = table["rows"][line.ours][line.metric]
    for other, figures in table["rows"].items():
        theirs = figures.get(line.metric)
        if other == line.ours or theirs is None or not re.fullmatch(line.others, other):
            continue
        limit = "the limit: " if other in LIMITS else ""
        compared = _times(mine["rounds"], theirs["rounds"])
        shown = _figure(mine["median"], line.metric) if what else ""
        yield f"| {what} | {shown} | {limit}{other} | {_figure(theirs['median'], line.metric)} | {compared} |"
        what = ""


def _figure(median: float, metric: str) -> str:
    """With three digits that count, because rounds differ in the third."""
    return UNITS[metric].format(float(f"{median:.3g}"))


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
    goals = [(table["title"], goal) for table in record["tables"] for goal in table["goals"]]
    missed = [_missed(title, goal) for title, goal in goals if not goal["met"]]
    yield f"\nOf {len(goals)} goals that the benches check {len(goals) - len(missed)} are met" + (
        "." if not missed else "; not:\n"
    )
    yield from missed
    skipped = dict.fromkeys(note for table in record["tables"] for note in table["notes"] if "skipped" in note)
    if skipped:
        yield f"\nNot compared: {'; '.join(skipped)}."


def _missed(title: str, goal: Mapping[str, Any]) -> str:
    bound = f"goal {'≥' if goal['at_least'] else '≤'} {_short(goal['bound'])}"
    return f"- {title}: {goal['what']}: {_short(goal['measured'])}, {bound}"
