"""What a pass has found: as text for people, as JSON to keep and compare, as plots."""

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import peers
from .harness import ROOT, Dose, Goal, Spread, Table

COMPARED = frozenset({"per s", "CPU µs", "start s", "idle MB", "KB per stream"})
"""Figures whose ratios are shown; those of all others are in the JSON."""
SCRIPT = Path(__file__).with_name("plot.py")
PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic")


def text(table: Table) -> str:
    """The medians of all figures with their extremes, and the ratio to the base where there is one."""
    columns = [column for metric in table.metrics() for column in _columns(table, metric)]
    lines = list(zip(["", *table.rows], *columns, strict=True))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(
        [f"\n== {table.title}", *shown, *map(_goal, table.goals), *(f"  ({note})" for note in table.notes)]
    )


def _columns(table: Table, metric: str) -> Iterator[list[str]]:
    """A column of the figures, and one of the ratios if they are worth a look; the first cell is the heading."""
    yield [metric, *(_spread(table.figure(row, metric)) for row in table.rows)]
    if metric in COMPARED:
        ratios = (table.ratio(row, metric) if row != table.base else None for row in table.rows)
        yield [f"x {table.base}", *map(_spread, ratios)]


def _goal(goal: Goal) -> str:
    verdict, sign = "met    " if goal.met else "not met", ">=" if goal.at_least else "<="
    return f"  {verdict}  {goal.what}: {_short(goal.measured)}, goal {sign} {_short(goal.bound)}"


def _spread(found: Spread | None) -> str:
    if found is None:
        return ""
    if found.least == found.most:
        return _short(found.median)
    return f"{_short(found.median)} [{_short(found.least)}..{_short(found.most)}]"


def _short(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def write(path: Path, tables: Sequence[Table], dose: Dose, command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    most = max((len(samples) for table in tables for samples in table.rows.values()), default=dose.rounds)
    how = {"command": command, "seconds": dose.seconds, "rounds": most}
    found = {**how, **machine(), "tables": [_table(table) for table in tables]}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def draw(results: Path, *, install: bool) -> Path:
    """Draw the plots of what was measured, into a folder beside it. Raises LookupError without matplotlib."""
    python = peers.plotting(install=install)
    if python is None:
        raise LookupError("matplotlib is not installed")
    folder = results.parent / "plots"
    subprocess.run([str(python), str(SCRIPT), str(results), str(folder)], check=True)
    return folder


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": f"{_processor()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "packages": {"sqlite": sqlite3.sqlite_version, **{name: version(name) for name in PACKAGES}},
        "contenders": peers.versions(),
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "base": table.base,
        "rows": {row: {metric: _figures(table, row, metric) for metric in table.metrics()} for row in table.rows},
        "goals": [{**goal._asdict(), "met": goal.met} for goal in table.goals],
        "notes": table.notes,
    }


def _figures(table: Table, row: str, metric: str) -> dict[str, Any] | None:
    figure, ratio = table.figure(row, metric), table.ratio(row, metric)
    if figure is None:
        return None
    rounds = [sample[metric] for sample in table.rows[row]]
    return {**figure._asdict(), "rounds": rounds, "ratio": ratio._asdict() if ratio else None}


def _commit() -> str | None:
    """The commit, with a mark if the tree differs from it; None outside of a checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
