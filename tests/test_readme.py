"""What is made in README.md and the guide is as it would be made now; code blocks are run by ``tests/examples``."""

import json

import pytest

from tests.readme import BLOCKS, RESULTS, attacks_table, shown


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_made_is_up_to_date(name: str) -> None:
    assert shown(name) == BLOCKS[name][1]().rstrip("\n"), "run: python -m tests.readme"


def test_a_failed_chapter_is_told() -> None:
    results = json.loads(RESULTS.read_text())
    failed = {**results, "failures": [{"chapter": "cuts:3"}]}
    assert attacks_table(failed).count("| 1 |") == attacks_table(results).count("| 1 |") + 1
