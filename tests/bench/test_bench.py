"""The benches work: each runs once, so briefly that its figures say nothing. No figure ever fails a test."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.__main__ import BENCHES
from tests.bench.harness import ROOT, Dose, Goal, Spread, Table, serving, uvicorn

pytestmark = [pytest.mark.bench_small, pytest.mark.slow]


def run(results: Path, *names: str) -> str:
    command = [sys.executable, "-m", "tests.bench", *names, "--results", str(results)]
    env = {**os.environ, "BENCH_SECONDS": "0.2"}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_measures_every_contender(name: str, tmp_path: Path) -> None:
    printed = run(tmp_path / "results.json", name)
    found: dict[str, Any] = json.loads((tmp_path / "results.json").read_text())
    assert {"date", "commit", "python", "machine", "packages"} <= found.keys()
    assert found["tables"]
    for table in found["tables"]:
        assert table["title"] in printed
        assert table["base"] in table["rows"]
        for figures in table["rows"].values():
            assert any(figure and figure["median"] > 0 for figure in figures.values())


def test_an_unknown_bench_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench", "nothing", "--results", str(tmp_path / "results.json")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "nothing" in ended.stderr


@pytest.mark.parametrize("dose", [Dose(1.0, 5, (100,)), Dose(0.2, 1, (20,))])
def test_a_finer_dose_is_as_much(dose: Dose) -> None:
    finer, longer = dose.finer(4), dose.finer(4, longer=2)
    assert finer.seconds * finer.rounds == dose.seconds * dose.rounds
    assert longer.rounds == (1 if dose.small else 2 * finer.rounds)
    assert finer.small == longer.small == dose.small


def test_the_thread_that_serves_http_comes_first(tmp_path: Path) -> None:
    with serving(uvicorn("echo"), tmp_path) as server:
        assert next(iter(server.threads())) == server.pid
        assert server.cpu() > 0


class TestTable:
    table = Table("t", "base", {"base": [{"per s": 10.0}, {"per s": 20.0}], "mine": [{"per s": 20.0}, {"per s": 10.0}]})

    def test_ratios_are_taken_within_rounds(self) -> None:
        assert self.table.ratio("mine", "per s") == Spread(1.25, 0.5, 2.0)

    def test_a_goal_on_what_was_not_measured_is_left_out(self) -> None:
        self.table.expect("nothing", "absent", "per s", "base", least=1.0)
        assert not self.table.goals

    @pytest.mark.parametrize(("at_least", "met"), [(True, True), (False, False)])
    def test_goals(self, at_least: bool, met: bool) -> None:
        assert Goal("g", 2.0, 1.0, at_least).met is met
