"""The tests that the page on security names are there, and are tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.topics import TOPICS

TESTS = Path(__file__).parents[1]


def named_in(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    """Names of tests, and of classes that have some."""
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            inside = list(named_in(node.body, f"{within}{node.name}::"))
            yield from [within + node.name, *inside] if inside else []
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield within + node.name


@pytest.mark.parametrize("name", TOPICS)
def test_each_is_there(name: str) -> None:
    assert TOPICS[name].tests
    for test in TOPICS[name].tests:
        file, _, inside = test.partition("::")
        found = list(named_in(ast.parse((TESTS / file).read_text()).body))
        assert inside in found if inside else found, test
