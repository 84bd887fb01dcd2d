"""Failpoints: what they understand, when they strike, and that nothing of them is there while they are off."""

import ast
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import pygents_app
from pygents_app import failpoints
from pygents_app.errors import StartupError
from pygents_app.failpoints import POINTS, VARIABLE, Order, parse
from pygents_app.settings import load

FOLDER = Path(pygents_app.__file__).parent


@pytest.fixture
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def struck(text: str, point: str, times: int) -> list[int]:
    """At which of so many passes the order for ``point`` was due, counted from 1."""
    plan = parse(text)
    return [number for number in range(1, times + 1) if plan.due(point) is not None]


def test_orders() -> None:
    plan = parse("seed=7, before-commit=sleep(0.25)%0.5, after-commit=kill@3")
    assert plan.due("after-begin") is None
    assert [plan.due("after-commit") for _ in range(3)] == [None, None, Order("after-commit", "kill", nth=3)]


def test_without_a_condition_each_time() -> None:
    assert struck("after-commit=exit", "after-commit", 3) == [1, 2, 3]


def test_the_nth_time_only() -> None:
    assert struck("after-commit=kill@2", "after-commit", 9) == [2]


def test_a_chance_is_drawn_from_the_seed() -> None:
    times = [struck(f"seed={seed},mid-tool=kill%0.3", "mid-tool", 200) for seed in (1, 1, 2)]
    assert times[0] == times[1] != times[2]
    assert 30 <= len(times[0]) <= 90


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("before-comit=kill", "names 'before-comit', which is no failpoint. Those are: before-transaction, "),
        ("before-commit=explode", "has 'before-commit=explode'; write point=kill@3"),
        ("before-commit=kill@0", "write point=kill@3"),
        ("after-commit=raise", "nothing that could fail happens at after-commit"),
    ],
)
def test_what_is_not_understood_is_an_error(text: str, told: str) -> None:
    with pytest.raises(StartupError) as caught:
        parse(text)
    assert told in caught.value.detail


def test_a_server_does_not_start_with_an_unknown_name(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("pygents")), "serve", "--demo", "--port", "0", "--store", "memory://"]
    ended = subprocess.run(
        command,
        env={**os.environ, VARIABLE: "nowhere=kill"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert f"error: {VARIABLE} names 'nowhere', which is no failpoint." in ended.stderr


def test_the_variable_is_no_unknown_setting(tmp_path: Path) -> None:
    load(environ={VARIABLE: "after-commit=kill"}, folder=tmp_path)
    (tmp_path / ".env").write_text(f"{VARIABLE}=after-commit=kill\n")
    with pytest.raises(StartupError, match="not a setting"):
        load(environ={}, folder=tmp_path)


@pytest.mark.usefixtures("disarmed")
def test_raising_is_what_a_database_does() -> None:
    failpoints.arm("before-commit=raise@1")
    with pytest.raises(sqlite3.OperationalError, match="failpoint before-commit"):
        failpoints.hit("before-commit")
    failpoints.hit("before-commit")


def test_off_unless_asked_for() -> None:
    assert not failpoints.ARMED
    for point in POINTS:
        failpoints.hit(point)


def test_every_point_is_passed_at_one_place_and_behind_the_constant() -> None:
    """A call of ``hit`` anywhere but in ``if failpoints.ARMED`` would cost something while they are off."""
    guarded, all_ = Counter[str](), Counter[str]()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.If) and "failpoints.ARMED" in ast.unparse(node.test):
                guarded.update(_points_in(node))
            elif isinstance(node, ast.Attribute) and ast.unparse(node) == "failpoints.hit":
                all_["hit"] += 1
    assert guarded == Counter(dict.fromkeys(POINTS, 1))
    assert all_["hit"] == len(POINTS)


def _points_in(node: ast.AST) -> list[str]:
    return [
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value in POINTS
    ]
