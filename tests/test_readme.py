"""What README.md says of the settings is what the code has; its code blocks are executed in ``tests/examples``."""

from tests.readme import BLOCK, README, settings_table


def test_the_settings_are_those_of_the_code() -> None:
    shown = BLOCK.search(README.read_text())
    assert shown is not None
    assert shown.group() == settings_table(), "run: python -m tests.readme"
