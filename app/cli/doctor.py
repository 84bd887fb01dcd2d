"""``pygents doctor``: whether this machine is fit to serve, and with ``--full`` whether a database file is whole."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ..store.examination import Report, examine
from .checkup import look
from .findings import Finding, State
from .output import Output


def check_machine(file: Path | None, output: Output) -> None:
    """Print what was found. Exits with 1 if there is a problem; warnings are none."""
    found = list(look(file))
    problems = any(finding.state is State.PROBLEM for finding in found)
    if output is Output.JSON:
        print(json.dumps({"ok": not problems, "findings": [finding._asdict() for finding in found]}, indent=2))
    else:
        print("\n".join(_line(finding) for finding in found))
    if problems:
        sys.exit(1)


def check_file(database: Path, output: Output) -> None:
    """Print a report. Exits with 1 if anything is wrong. Raises ``StartupError`` if the file cannot be looked at."""
    report = examine(database)
    if output is Output.JSON:
        found = {"counted": dict(report.counted), "problems": list(report.problems), "more": report.more}
        print(json.dumps({"ok": not report.problems, **found}, indent=2))
    else:
        print("\n".join(_report(report)))
    if report.problems:
        sys.exit(1)


def _line(finding: Finding) -> str:
    state = finding.state if finding.state is State.OK else finding.state.upper()
    return f"{state:8} {finding.name:12} {finding.text}"


def _report(report: Report) -> Iterator[str]:
    counted = ", ".join(f"{count:,} {kind}" for kind, count in report.counted.items())
    yield f"Looked at {counted or 'what is no database that can be read'}."
    yield from (f"- {problem}" for problem in report.problems)
    if report.more:
        yield f"- and {report.more} more"
    if not report.problems:
        yield "Everything is as it was written."
    else:
        yield "The file is damaged: restore a backup (pygents restore), or go on with what is left (pygents restored)."
