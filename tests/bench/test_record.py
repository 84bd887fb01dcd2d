"""What is kept of a pass, and what README and the plots show of it; nothing is measured here."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.bench import peers, plot, report
from tests.bench.__main__ import LATEST, RECORD, destination
from tests.bench.harness import Dose, Table, dose_of
from tests.bench.latency import TITLE as LATENCY
from tests.bench.loglength import TITLE as LENGTH
from tests.bench.record import LINES, UNMEASURED, figures_table, medians_table

FULL, SMALL = dose_of(1.0), dose_of(0.1)


def record() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RECORD.read_text())
    return recorded


def made_up(tmp_path: Path) -> Path:
    """Results as a pass leaves them, with the tables of both plots."""
    ms = {"p50 ms": 1.5, "p99 ms": 4.0}
    costs = {"submit µs": 800.0, "CPU µs": 700.0, "resume ms": 2.5}
    tables = [
        Table(LATENCY, "1", {name: [ms, {"p50 ms": 2.0, "p99 ms": 5.0}] for name in ("1", "16", "256")}),
        Table(f"{LENGTH} of one agent", "0", {name: [costs] for name in ("0", "1,000", "100,000")}),
    ]
    path = tmp_path / "results.json"
    report.write(path, tables, FULL, "make bench")
    return path


class TestDestination:
    def test_a_full_pass_is_the_record(self) -> None:
        assert destination([], FULL) == RECORD

    @pytest.mark.parametrize(("names", "dose"), [(["submit"], FULL), ([], SMALL)])
    def test_any_other_pass_is_not(self, names: list[str], dose: Dose) -> None:
        assert destination(names, dose) == LATEST


class TestFigures:
    def test_every_line_has_a_table_in_the_record(self) -> None:
        shown = figures_table(record())
        assert all(line.what.partition("\\")[0] in shown for line in LINES)

    def test_a_table_that_is_missing_is_told(self) -> None:
        recorded = record()
        recorded["tables"] = [table for table in recorded["tables"] if not table["title"].startswith("submit")]
        with pytest.raises(LookupError, match="submit"):
            figures_table(recorded)

    def test_a_missed_goal_is_told(self) -> None:
        recorded = deepcopy(record())
        goal = {"what": "to fly", "measured": 1.0, "bound": 2.0, "at_least": True, "met": False}
        recorded["tables"][0]["goals"] = [goal]
        assert ": to fly: 1, goal ≥ 2\n" in figures_table(recorded)

    def test_what_was_skipped_is_told(self) -> None:
        recorded = deepcopy(record())
        recorded["tables"][0]["notes"] = ["arq: skipped, not installed"]
        assert "Not compared: arq: skipped, not installed." in figures_table(recorded)

    def test_the_record_says_what_its_figures_depend_on(self) -> None:
        recorded = record()
        assert recorded["command"] == "make bench"
        assert recorded["rounds"] > 1
        assert {"date", "commit", "python", "machine", "packages", "contenders"} <= recorded.keys()


ROWS = {"owl": {"m": {"median": 1234.5}, "g": None}}
FLIGHT: Any = {"tables": [{"title": "flight: of birds", "rows": ROWS}]}
"""Of a pass that had the table, but not every column that is shown now."""


class TestMedians:
    def test_a_row_for_each_contender(self) -> None:
        assert medians_table(FLIGHT, "flight", ["m"]) == "| | m |\n|---|---|\n| owl | 1,230 |\n"

    def test_a_column_that_was_not_measured_is_named(self) -> None:
        found = medians_table(FLIGHT, "flight", ["m", "g", "km"])
        assert found == "| | m |\n|---|---|\n| owl | 1,230 |\n\nNot measured yet: g, km.\n"

    def test_a_table_that_was_not_measured_is_not_made_up(self) -> None:
        assert medians_table(FLIGHT, "swimming", ["m"]) == f"{UNMEASURED}\n"


class TestPlots:
    def test_a_curve_has_its_extremes(self, tmp_path: Path) -> None:
        table = json.loads(made_up(tmp_path).read_text())["tables"][0]
        line = plot.curve("p50", table["rows"], "p50 ms")
        assert (line.x, line.median) == ([1.0, 16.0, 256.0], [1.75] * 3)
        assert (line.least, line.most) == ([1.5] * 3, [2.0] * 3)

    def test_what_was_not_measured_is_not_drawn(self, tmp_path: Path) -> None:
        results = json.loads(made_up(tmp_path).read_text())
        assert [name for name, _ in plot.found(results)] == ["latency", "length"]
        results["tables"].pop()
        assert [name for name, _ in plot.found(results)] == ["latency"]

    def test_without_matplotlib_it_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(peers, "CACHE", tmp_path)
        with pytest.raises(LookupError, match="matplotlib"):
            report.draw(made_up(tmp_path), install=False)

    @pytest.mark.slow
    def test_they_are_drawn(self, tmp_path: Path) -> None:
        folder = report.draw(made_up(tmp_path), install=True)
        drawn = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert drawn.keys() == {"latency.png", "length.png"}
        assert all(data.startswith(b"\x89PNG") and len(data) < 60_000 for data in drawn.values())

    @pytest.mark.parametrize("name", plot.PLOTS)
    def test_those_of_the_record_are_kept_beside_it(self, name: str) -> None:
        assert (RECORD.parent / "plots" / f"{name}.png").is_file()
