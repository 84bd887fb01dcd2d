"""What is made in README.md is as it would be made now; its code blocks are executed in ``tests/examples``."""

import json

import pytest

from tests.readme import BLOCKS, README, RESULTS, attacks_table, block


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_made_is_up_to_date(name: str) -> None:
    shown = block(name).search(README.read_text())
    assert shown is not None
    assert shown.group() == BLOCKS[name](), "run: python -m tests.readme"


def test_a_failed_chapter_is_told() -> None:
    results = json.loads(RESULTS.read_text())
    failed = {**results, "failures": [{"chapter": "cuts:3"}]}
    assert attacks_table(failed).count("| 1 |") == attacks_table(results).count("| 1 |") + 1
